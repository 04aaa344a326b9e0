// The mailer against a real SMTP server.

import { createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createMailer, createSilentMailer, type MailerOptions } from '#ctld/notifier/mailer.io.ts'
import { isRefusal } from '#ctld/notifier/outbox.ts'
import type { SmtpConfig } from '#shared/configuration.ts'
import type { Mail } from '#shared/model.ts'
import type { Log } from '#shared/ports.ts'
import { startSmtpServer, testCa } from '#test/helpers/smtp-server.ts'

const auth = { user: 'tucano', password: 'c4nary-pa55word' }
const mail: Mail = {
  to: ['ops@example.net', 'night@example.net'],
  subject: '[tucano] node w2 is dead',
  text: 'Node w2 is dead – since 09:40.\nSecond line.\n',
}
const opened: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

async function server(options: Parameters<typeof startSmtpServer>[0] = {}) {
  const started = await startSmtpServer(options)
  opened.push(started)
  return started
}

function mailerTo(port: number, smtp: Partial<SmtpConfig> = {}, rest: Partial<MailerOptions> = {}) {
  return createMailer({
    smtp: { host: '127.0.0.1', port, security: 'starttls', timeout: '5s', ...smtp },
    password: auth.password,
    ca: testCa,
    from: 'tucano@example.net',
    log: logOf([]),
    ...rest,
  })
}

function logOf(lines: string[]): Log {
  const write = (fields: object, text: string) => lines.push(`${text} ${JSON.stringify(fields)}`)
  return { debug: write, info: write, warn: write, error: write }
}

async function failureOf(promise: Promise<void>): Promise<{ code: string; message: string }> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Error)
  return error as Error & { code: string }
}

test('sends over STARTTLS after logging in', async () => {
  const smtp = await server({ auth })
  await mailerTo(smtp.port, { user: auth.user }).send(mail)
  const received = await smtp.next()
  expect(received).toMatchObject({
    ...mail,
    from: 'tucano@example.net',
    secure: true,
    user: 'tucano',
  })
  expect(received.raw).toContain('Auto-Submitted: auto-generated')
})

test('sends over implicit TLS', async () => {
  const smtp = await server({ auth, tls: 'tls' })
  await mailerTo(smtp.port, { user: auth.user, security: 'tls' }).send(mail)
  expect(await smtp.next()).toMatchObject({ ...mail, secure: true })
})

test('sends in the clear only when told so', async () => {
  const smtp = await server({ tls: 'none' })
  const refused = await failureOf(mailerTo(smtp.port).send(mail))
  expect(refused.message).toMatch(/STARTTLS/i)
  await mailerTo(smtp.port, { security: 'none' }).send(mail)
  expect(smtp.mails).toMatchObject([{ ...mail, secure: false }])
})

test('gives the same mail the same id each time, and another mail another one', async () => {
  const smtp = await server()
  const mailer = mailerTo(smtp.port)
  await mailer.send(mail)
  await mailer.send(mail)
  await mailer.send({ ...mail, text: 'other' })
  const ids = smtp.mails.map(({ messageId }) => messageId)
  expect(ids[0]).toMatch(/^<[0-9a-f]{40}@tucano>$/)
  expect(ids[1]).toBe(ids[0])
  expect(ids[2]).not.toBe(ids[0])
})

test('S6: a wrong password is a refusal that does not repeat it', async () => {
  const smtp = await server({ auth })
  const mailer = mailerTo(smtp.port, { user: auth.user }, { password: 'wr0ng-canary' })
  const failure = await failureOf(mailer.send(mail))
  expect(failure.message).toMatch(/^the mail server answered 535: 5\.7\.8 not you/)
  expect(failure.message).not.toContain('wr0ng-canary')
  expect(isRefusal(failure.message)).toBe(true)
  expect(JSON.stringify(failure, Object.getOwnPropertyNames(failure))).not.toContain('canary')
})

test('a missing login is a refusal', async () => {
  const smtp = await server({ auth })
  const failure = await failureOf(mailerTo(smtp.port).send(mail))
  expect(failure.message).toMatch(/answered 530/)
})

test('does not trust a certificate whose authority was not named', async () => {
  const smtp = await server({ auth })
  const failure = await failureOf(
    mailerTo(smtp.port, { user: auth.user }, { ca: undefined }).send(mail),
  )
  expect(failure.message).toMatch(/certificate.*alerts\.smtp\.ca_file/)
  expect(isRefusal(failure.message)).toBe(false)
  expect(smtp.mails).toEqual([])
})

test('a server that is busy is a passing failure', async () => {
  const smtp = await server()
  smtp.behave({ code: 451, text: '4.3.0 try again later' })
  const failure = await failureOf(mailerTo(smtp.port).send(mail))
  expect(failure.message).toMatch(/^the mail server answered 451: 4\.3\.0 try again later/)
  expect(isRefusal(failure.message)).toBe(false)
  smtp.behave('accept')
  await mailerTo(smtp.port).send(mail)
  expect(smtp.mails.length).toBe(1)
})

test('a refused port is a passing failure, and the server that comes up there gets the mail', async () => {
  const { port, close } = await startSmtpServer()
  await close()
  const mailer = mailerTo(port)
  const failure = await failureOf(mailer.send(mail))
  expect(failure).toMatchObject({ code: 'unavailable' })
  expect(failure.message).toMatch(/ECONNREFUSED/)
  const smtp = await server({ port })
  await mailer.send(mail)
  expect(await smtp.next()).toMatchObject(mail)
})

test('F39: gives up a server that never says a word, in the configured time', async () => {
  const smtp = await server()
  smtp.behave('silent')
  const failure = await failureOf(mailerTo(smtp.port, { timeout: '300ms' }).send(mail))
  expect(failure).toMatchObject({
    code: 'timeout',
    message: `the mail server 127.0.0.1:${smtp.port} did not answer within 300 ms`,
  })
})

test('F39: gives up a server that dribbles, in the configured time in total', async () => {
  const sockets: Socket[] = []
  const dribbler = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    const timer = setInterval(() => socket.write('220-not yet\r\n'), 20)
    socket.on('close', () => clearInterval(timer))
  })
  await new Promise<void>((resolve) => dribbler.listen(0, '127.0.0.1', resolve))
  const { port } = dribbler.address() as { port: number }
  const before = performance.now()
  const failure = await failureOf(mailerTo(port, { timeout: '300ms' }).send(mail))
  expect(failure).toMatchObject({ code: 'timeout' })
  expect(performance.now() - before).toBeLessThan(3_000)
  await new Promise((resolve) => {
    dribbler.close(resolve)
    for (const socket of sockets) socket.destroy()
  })
})

test('B2: line breaks in a subject are folded and smuggle in no header', async () => {
  const smtp = await server()
  const subject = 'node dead\r\nBcc: thief@example.net\r\n\r\nbody'
  await mailerTo(smtp.port).send({ ...mail, subject })
  const received = await smtp.next()
  expect(received.to).toEqual(mail.to)
  expect(received.raw).not.toMatch(/^Bcc:/im)
  expect(received.subject).toMatch(/^node dead Bcc: thief@example\.net +body$/)
})

test('without a mail server an alert is only logged', async () => {
  const lines: string[] = []
  await createSilentMailer(logOf(lines)).send(mail)
  expect(lines).toEqual([expect.stringContaining(mail.subject)])
})
