// F39 with a real SMTP server and a loop in virtual time: outage, 451, tarpit, a certificate that
// is not trusted, a restart of the controller in between; then each mail arrives exactly once.

import { afterEach, expect, test } from 'vitest'
import { createMailer } from '#ctld/notifier/mailer.io.ts'
import { createNotifier, type Occurrence } from '#ctld/notifier/notifier.ts'
import type { Mailer } from '#ctld/ports.ts'
import { messageOf } from '#shared/errors.ts'
import { type SmtpTestServer, startSmtpServer, testCa } from '#test/helpers/smtp-server.ts'
import { alerts, begins, ends, hour, minute, START, second } from './world.ts'

const servers: SmtpTestServer[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

async function serverAt(port = 0): Promise<SmtpTestServer> {
  const server = await startSmtpServer({ port })
  servers.push(server)
  return server
}

function mailerTo(port: number, ca: string | undefined = testCa, timeout = '2s'): Mailer {
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const smtp = { host: '127.0.0.1', port, security: 'starttls', timeout } as const
  return createMailer({ smtp, ca, from: alerts.from, log })
}

/** Steps never wait for a send: its result is picked up by a later step. */
class Controller {
  now = START
  tries = 0
  mailer: Mailer
  underWay: Promise<void> | undefined
  #results: { id: string; error: string | null }[] = []
  #disk = '{"incidents":[],"outbox":[]}'
  #ids = 0
  #notifier = this.#boot()

  constructor(mailer: Mailer) {
    this.mailer = mailer
  }

  step(occurrences: readonly Occurrence[] = []): number {
    for (const { id, error } of this.#results.splice(0)) {
      this.#notifier.mailResult(id, error, this.now)
    }
    this.#notifier.tell(occurrences, this.now)
    const { sends, wakeAt } = this.#notifier.decide(this.now)
    const { incidents, outbox } = this.#notifier.state()
    this.#disk = JSON.stringify({ incidents, outbox })
    for (const { id, mail } of sends) {
      this.tries += 1
      this.underWay = this.mailer.send(mail).then(
        () => this.#ended(id, null),
        (error: unknown) => this.#ended(id, messageOf(error)),
      )
    }
    return wakeAt
  }

  /** Virtual time goes on as soon as nothing is under way. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms
    for (;;) {
      const wakeAt = this.step()
      await this.underWay
      if (this.#results.length > 0) continue
      if (wakeAt > end) break
      this.now = Math.max(wakeAt, this.now)
    }
    this.now = end
  }

  restart(): void {
    this.#notifier = this.#boot()
  }

  outbox(): { lastError: string | null }[] {
    return JSON.parse(this.#disk).outbox
  }

  #ended(id: string, error: string | null): void {
    this.underWay = undefined
    this.#results.push({ id, error })
  }

  #boot() {
    const ids = { next: () => `id-${++this.#ids}` }
    const notifier = createNotifier({ ids, dice: { random: () => 1 - 1e-9 } }, alerts)
    notifier.restore(JSON.parse(this.#disk))
    return notifier
  }
}

test('F39: outage, 451, tarpit, bad certificate and a restart: delivered once, within 60 s', async () => {
  const first = await startSmtpServer()
  const { port } = first
  await first.close()
  const controller = new Controller(mailerTo(port))

  controller.step([begins('w2')])
  await controller.pass(hour)
  expect(controller.outbox()).toMatchObject([
    { lastError: expect.stringContaining('ECONNREFUSED') },
  ])
  expect(controller.tries).toBeLessThan(100)

  const server = await serverAt(port)
  server.behave({ code: 451, text: 'later' })
  await controller.pass(5 * minute)
  expect(controller.outbox()).toMatchObject([{ lastError: expect.stringContaining('451') }])

  controller.restart()
  controller.mailer = mailerTo(port, testCa, '100ms')
  server.behave('silent')
  await controller.pass(5 * minute)
  expect(controller.outbox()).toMatchObject([
    { lastError: expect.stringContaining('did not answer within 100 ms') },
  ])

  server.behave('accept')
  controller.mailer = mailerTo(port, '')
  await controller.pass(5 * minute)
  expect(controller.outbox()).toMatchObject([{ lastError: expect.stringContaining('certificate') }])
  expect(server.mails).toEqual([])

  controller.restart()
  controller.mailer = mailerTo(port)
  await controller.pass(minute)
  expect(server.mails.map(({ subject }) => subject)).toEqual(['[tucano] node w2 is dead'])

  controller.step([ends('w2')])
  await controller.pass(minute)
  expect(server.mails.length).toBe(2)
  expect(server.mails[1]?.subject).toMatch(
    /^\[tucano\] recovered after 1 h: node w2$|^\[tucano\] recovered after \d+ min: node w2$/,
  )
  await controller.pass(5 * hour)
  expect(server.mails.length).toBe(2)
  expect(controller.outbox()).toEqual([])
})

test('F39: the loop goes on while the mail server hangs', async () => {
  const server = await serverAt()
  server.behave('silent')
  const controller = new Controller(mailerTo(server.port, testCa, '500ms'))
  controller.step([begins('w1')])
  controller.now += 10 * second
  controller.step()
  const hanging = controller.underWay
  expect(hanging).toBeDefined()

  const before = performance.now()
  for (let index = 0; index < 1_000; index++) {
    controller.now += 1
    controller.step([begins(`s${index % 7}`, 'fails', 'service_failed')])
  }
  expect(performance.now() - before).toBeLessThan(400)
  expect(controller.underWay).toBe(hanging)
  expect(controller.tries).toBe(1)
  await hanging
  server.behave('accept')
  await controller.pass(minute)
  expect(server.mails.length).toBe(2)
})

test('T04: one dead node is one mail in the mailbox of a real server', async () => {
  const server = await serverAt()
  const controller = new Controller(mailerTo(server.port))
  controller.step([begins('w2', 'w2 (10.0.0.12) is dead: no report for 8.2 s, 2 probes failed')])
  await controller.pass(hour)
  const mail = await server.next()
  expect(mail.to).toEqual(alerts.to)
  expect(mail.text).toContain('w2 (10.0.0.12) is dead: no report for 8.2 s, 2 probes failed')
  expect(server.mails.length).toBe(1)
})
