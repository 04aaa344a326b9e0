// Hands a mail to the SMTP server. It promises to answer within the configured timeout in total,
// whatever the server does, and that no word of its errors holds the password.

import { createHash } from 'node:crypto'
import { createTransport } from 'nodemailer'
import type { Mailer } from '#ctld/ports.ts'
import type { SmtpConfig } from '#shared/configuration.ts'
import { durationMs, durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Mail } from '#shared/model.ts'
import type { Log } from '#shared/ports.ts'
import { answeredWords } from './outbox.ts'

export type MailerOptions = {
  smtp: SmtpConfig
  /** What `smtp.password` refers to. */
  password?: string | undefined
  /** PEM text of `smtp.ca_file`. */
  ca?: string | undefined
  from: string
  log: Log
}

export function createMailer(options: MailerOptions): Mailer {
  const { smtp, from, log } = options
  const timeoutMs = durationMs(smtp.timeout)
  const transport = createTransport({
    host: smtp.host,
    port: smtp.port,
    secure: smtp.security === 'tls',
    requireTLS: smtp.security === 'starttls',
    ignoreTLS: smtp.security === 'none',
    ...(smtp.user === undefined ? {} : { auth: { user: smtp.user, pass: options.password ?? '' } }),
    tls: { minVersion: 'TLSv1.2', ...(options.ca === undefined ? {} : { ca: options.ca }) },
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    socketCloseTimeout: 0,
    disableFileAccess: true,
    disableUrlAccess: true,
  })

  return {
    async send(mail) {
      // The timeouts above are per phase; a server that dribbles is cut off by this one.
      const signal = AbortSignal.timeout(timeoutMs)
      try {
        const { rejected } = await transport.sendMail({
          from,
          to: mail.to,
          subject: mail.subject,
          text: mail.text,
          messageId: messageIdOf(mail),
          headers: { 'Auto-Submitted': 'auto-generated' },
          signal,
        })
        if (rejected.length > 0) log.warn({ rejected }, 'the mail server refused some recipients')
      } catch (error) {
        throw mailError(error, signal.aborted, options)
      }
    },
  }
}

/** Without a mail server the alerts stand in the list and in the log alone. */
export function createSilentMailer(log: Log): Mailer {
  return {
    async send(mail) {
      log.warn(
        { subject: mail.subject },
        'an alert is only listed, as alerts.smtp is not configured',
      )
    },
  }
}

/**
 * The same mail has the same id. A crash between the server's yes and our writing it down sends
 * the mail again; by the id a mailbox can tell that it has it already.
 */
function messageIdOf({ to, subject, text }: Mail): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([to, subject, text]))
    .digest('hex')
  return `<${digest.slice(0, 40)}@tucano>`
}

type SmtpFault = {
  code?: string
  command?: string
  responseCode?: number
  response?: string
  message?: string
}

/** The original is not kept as the cause: what a library puts into its errors may be a secret. */
function mailError(error: unknown, aborted: boolean, options: MailerOptions): TucanoError {
  const { smtp } = options
  const fault = (error ?? {}) as SmtpFault
  const server = `${smtp.host}:${smtp.port}`
  const words = (text: string) => redact(text, options).replace(/\s+/g, ' ').trim()
  if (aborted || fault.code === 'ETIMEDOUT') {
    const limit = durationText(durationMs(smtp.timeout))
    return new TucanoError('timeout', `the mail server ${server} did not answer within ${limit}`)
  }
  if (fault.responseCode !== undefined) {
    const reply = (fault.response ?? '').replace(/^\d{3}[ -]?/, '')
    const to = fault.command === undefined ? '' : ` (to ${fault.command})`
    return new TucanoError('unavailable', words(answeredWords(fault.responseCode, reply) + to))
  }
  const message = fault.message ?? String(error)
  const hint = /certificate|self-signed|issuer/i.test(message)
    ? '; name the authority that signed it in alerts.smtp.ca_file'
    : ''
  return new TucanoError('unavailable', words(`cannot mail through ${server}: ${message}${hint}`))
}

/** A server may repeat in its reply what it was sent (S6). */
function redact(text: string, { smtp, password }: MailerOptions): string {
  if (password === undefined || password === '') return text
  const base64 = (secret: string) => Buffer.from(secret).toString('base64')
  const forms = [base64(`\0${smtp.user ?? ''}\0${password}`), base64(password), password]
  return forms.reduce((cleaned, form) => cleaned.replaceAll(form, '…'), text)
}
