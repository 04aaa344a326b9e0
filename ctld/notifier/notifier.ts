// Tells the sysadmin. The controller's loop calls it synchronously: `tell` what happened, `decide`
// what is to be mailed, persist `state()`, then start the sends; a result comes back by
// `mailResult`. One mail is under way at a time, and a slow mail server holds up nothing here.
// Whatever was not persisted can be undone by `restore`: no mail is lost or sent twice by it.

import type { Incident, OutboxMail } from '#ctld/discovery/document.ts'
import { durationMs } from '#shared/duration.ts'
import type { AlertsConfig } from '#shared/model.ts'
import type { Dice, Ids } from '#shared/ports.ts'
import { dueMails, type MailLimits } from './due-mails.ts'
import { type Occurrence, tellIncidents } from './incident.ts'
import { testMailText } from './mail-text.ts'
import { afterFailure, afterSent, clampWaits, makeRoom, pickMail } from './outbox.ts'

export type { Occurrence } from './incident.ts'

const RESULTS_KEPT_MAX = 1_000

/** incidents and outbox belong in the StateDocument; the rest need not outlive the process. */
export type NotifierState = {
  incidents: Incident[]
  outbox: OutboxMail[]
  /** Wall instants of the mails written within the last minute. */
  recent?: number[]
  /** Id of the mail that is being sent. */
  sending?: string | null
}

export type Decision = {
  /** `incidents` or `outbox` differ from what they were before the last `decide`. */
  changed: boolean
  /** To be sent once the state is on disk; at most one. */
  sends: OutboxMail[]
  /** Wall instant to decide again at; Infinity: when something happens. */
  wakeAt: number
  /** Sentences for the history: a mail that was given up. */
  notices: string[]
}

export type Notifier = {
  /** The alerts of a configuration that is now in force. What waits is tried at once with it. */
  configure(alerts: AlertsConfig): void
  tell(occurrences: readonly Occurrence[], now: number): void
  decide(now: number): Decision
  /** `error`: null when it was accepted, else the mailer's words. Of an unknown mail: ignored. */
  mailResult(id: string, error: string | null, now: number): void
  /** Puts a test mail into the outbox. */
  testMail(now: number): string
  state(): Required<NotifierState>
  restore(state: NotifierState): void
}

/** All instants are wall milliseconds, as they must survive a restart. */
export function createNotifier(ports: { ids: Ids; dice: Dice }, alerts: AlertsConfig): Notifier {
  const { ids, dice } = ports
  const newId = () => ids.next()
  let config = alerts
  let limits = limitsOf(alerts)
  let incidents: readonly Incident[] = []
  let outbox: readonly OutboxMail[] = []
  let recent: readonly number[] = []
  let sending: string | null = null
  let notices: string[] = []
  let changed = false
  // What the world did cannot be undone: a restored state must not send again what was accepted,
  // nor wait for the result of a send that has ended.
  const accepted = new Set<string>()
  const ended = new Set<string>()

  function put(next: { incidents?: readonly Incident[]; outbox?: readonly OutboxMail[] }): void {
    const before = { incidents, outbox }
    incidents = next.incidents ?? incidents
    outbox = next.outbox ?? outbox
    changed ||= !isSameList(before.incidents, incidents) || !isSameList(before.outbox, outbox)
  }

  function send(now: number): OutboxMail[] {
    const { mail } = pickMail(outbox, now)
    if (sending !== null || mail === undefined) return []
    sending = mail.id
    ended.delete(mail.id)
    // To whom is asked now: a mended address also helps the mails that were written before.
    return [{ ...mail, mail: { ...mail.mail, to: [...config.to] } }]
  }

  return {
    configure(next) {
      config = next
      limits = limitsOf(next)
      put({ outbox: outbox.map((mail) => (mail.tries === 0 ? mail : { ...mail, nextAt: 0 })) })
    },

    tell(occurrences, now) {
      if (occurrences.length === 0) return
      put({ incidents: tellIncidents(incidents, occurrences, limits, now, newId) })
    },

    decide(now) {
      const due = dueMails({ incidents, outbox, recent, sending }, limits, config.to, now, newId)
      recent = due.recent
      put({ incidents: due.incidents, outbox: clampWaits(due.outbox, now) })
      const sends = send(now)
      const mailsAt = sending === null ? pickMail(outbox, now).wakeAt : Infinity
      const decision = { changed, sends, wakeAt: Math.min(due.wakeAt, mailsAt), notices }
      changed = false
      notices = []
      return decision
    },

    mailResult(id, error, now) {
      remember(ended, id)
      if (sending === id) sending = null
      if (error === null) {
        remember(accepted, id)
        put({ outbox: afterSent(outbox, id, now) })
        return
      }
      if (!outbox.some((mail) => mail.id === id)) return
      const after = afterFailure(outbox, { id, error, random: dice.random() }, now)
      notices.push(...after.notices)
      put({ outbox: after.outbox })
    },

    testMail(now) {
      const id = newId()
      const room = makeRoom(outbox, 1, sending)
      const { subject, text } = testMailText(id, now)
      const mail = { to: [...config.to], subject, text }
      const dropped = room.dropped.reduce((sum, one) => sum + 1 + one.dropped, 0)
      const waiting = { incident: null, createdAt: now, dropped, tries: 0, nextAt: now }
      put({ outbox: [...room.outbox, { id, kind: 'test', mail, ...waiting, lastError: null }] })
      return id
    },

    state: () => ({
      incidents: [...incidents],
      outbox: [...outbox],
      recent: [...recent],
      sending,
    }),

    restore(state) {
      incidents = [...state.incidents]
      outbox = state.outbox.filter(({ id }) => !accepted.has(id))
      recent = state.recent ?? []
      sending = state.sending ?? null
      if (sending !== null && ended.has(sending)) sending = null
      changed = outbox.length !== state.outbox.length
      notices = []
    },
  }
}

function limitsOf(alerts: AlertsConfig): MailLimits {
  return {
    gatherMs: durationMs(alerts.gather),
    reminderMs: durationMs(alerts.reminder),
    digestAbove: alerts.digest_above,
  }
}

function isSameList<T>(before: readonly T[], after: readonly T[]): boolean {
  return before.length === after.length && before.every((item, index) => item === after[index])
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id)
  for (const oldest of ids) {
    if (ids.size <= RESULTS_KEPT_MAX) return
    ids.delete(oldest)
  }
}
