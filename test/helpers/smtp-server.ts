// A real SMTP server for tests: keeps what it accepted, and can be told to refuse or to be silent.

import { readFileSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import { SMTPServer } from 'smtp-server'

const tlsFolder = new URL('../fixtures/tls/', import.meta.url)

/** Its clients trust `localhost` and `127.0.0.1` with this authority. */
export const testCaPath = new URL('ca.pem', tlsFolder).pathname
export const testCa = readFileSync(testCaPath, 'utf8')

export type ReceivedMail = {
  from: string
  to: string[]
  messageId: string
  subject: string
  text: string
  /** As it came over the wire. */
  raw: string
  /** Was it sent over TLS, and as which user? */
  secure: boolean
  user: string | undefined
}

/** `silent`: takes the connection and never says a word. */
export type SmtpBehaviour = 'accept' | 'silent' | { code: number; text: string }

export type SmtpTestServer = {
  port: number
  mails: ReceivedMail[]
  /** Connections that were opened so far. */
  connections(): number
  /** The next mail that no call of `next` has given yet, as soon as it is there. */
  next(): Promise<ReceivedMail>
  behave(behaviour: SmtpBehaviour): void
  close(): Promise<void>
}

export async function startSmtpServer(
  options: {
    port?: number
    tls?: 'starttls' | 'tls' | 'none'
    /** Absent: nobody needs to log in. */
    auth?: { user: string; password: string }
  } = {},
): Promise<SmtpTestServer> {
  const { port = 0, tls = 'starttls', auth } = options
  const mails: ReceivedMail[] = []
  const waiting: ((mail: ReceivedMail) => void)[] = []
  const sockets = new Set<Socket>()
  let behaviour: SmtpBehaviour = 'accept'
  let opened = 0
  let given = 0

  const server = new SMTPServer({
    secure: tls === 'tls',
    key: readFileSync(new URL('server.key', tlsFolder)),
    cert: readFileSync(new URL('server.pem', tlsFolder)),
    disabledCommands: [...(tls === 'none' ? ['STARTTLS'] : []), ...(auth ? [] : ['AUTH'])],
    authOptional: auth === undefined,
    allowInsecureAuth: tls === 'none',
    disableReverseLookup: true,
    closeTimeout: 1,
    onConnect(_session, done) {
      if (behaviour !== 'silent') done()
    },
    onAuth(login, _session, done) {
      const known = login.username === auth?.user && login.password === auth?.password
      if (known) done(null, { user: login.username })
      // It repeats the password, as careless servers do: clients must not pass that on.
      else done(reply(535, `5.7.8 not you, ${login.username} with ${login.password}`))
    },
    onMailFrom(_address, _session, done) {
      done(typeof behaviour === 'object' ? reply(behaviour.code, behaviour.text) : null)
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        const mail = {
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          secure: session.secure,
          user: session.user,
          ...parseMail(Buffer.concat(chunks).toString('utf8')),
        }
        mails.push(mail)
        if (waiting.length > 0) {
          given += 1
          waiting.shift()?.(mail)
        }
        done()
      })
    },
  })
  // What clients do to the server, a refused certificate above all, is no failure of the server.
  server.on('error', () => {})
  server.server.on('connection', (socket: Socket) => {
    opened += 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve)
  })

  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    connections: () => opened,
    next() {
      const mail = mails[given]
      if (mail === undefined) return new Promise((resolve) => waiting.push(resolve))
      given += 1
      return Promise.resolve(mail)
    },
    behave(next) {
      behaviour = next
    },
    close: () =>
      new Promise((resolve) => {
        server.close(resolve)
        for (const socket of sockets) socket.destroy()
      }),
  }
}

function reply(code: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode: code })
}

function parseMail(raw: string): Pick<ReceivedMail, 'subject' | 'text' | 'messageId' | 'raw'> {
  const split = raw.indexOf('\r\n\r\n')
  const head = raw.slice(0, split).replace(/\r\n[ \t]+/g, ' ')
  const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1] ?? ''
  const body = raw.slice(split + 4)
  const text = decode(body, header('Content-Transfer-Encoding').toLowerCase())
  const subject = header('Subject')
    .replace(/\?= =\?/g, '?==?')
    .replace(/=\?utf-8\?([qb])\?(.*?)\?=/gi, (_all, how: string, words: string) =>
      how.toLowerCase() === 'b'
        ? decode(words, 'base64')
        : decode(words.replaceAll('_', ' '), 'quoted-printable'),
    )
  return { subject, text: text.replaceAll('\r\n', '\n'), messageId: header('Message-ID'), raw }
}

function decode(text: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString('utf8')
  if (encoding !== 'quoted-printable') return text
  const bytes = text
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
