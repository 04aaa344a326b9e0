// Tells the sysadmin. The controller's loop calls it synchronously: `tell` what happened, `decide`
// what is to be mailed, persist `state()`, then start the sends; a result comes back by
// `mailResult`. One mail is under way at a time, and a slow mail server holds up nothing here.
// Whatever was not persisted can be undone by `restore`: no mail is lost or sent twice by it.

import type { Incident, OutboxMail } from '#ctld/discovery/document.ts'
import type { AlertsConfig } from '#shared/configuration.ts'
import { durationMs } from '#shared/duration.ts'
import type { Dice, Ids } from '#shared/ports.ts'
import { isSameList } from '#shared/same-list.ts'
import { dueMails, type MailLimits, withTestMail } from './due-mails.ts'
import { type Occurrence, tellIncidents } from './incident.ts'
import { afterFailure, afterSent, clampWaits, pickMail } from './outbox.ts'

export type { Occurrence } from './incident.ts'

const RESULTS_KEPT_MAX = 1_000

/** incidents and outbox belong in the StateDocument; the rest need not outlive the process. */
export type NotifierState = {
  incidents: readonly Incident[]
  outbox: readonly OutboxMail[]
  /** Wall instants of the mails written within the last minute. */
  recent?: readonly number[]
  /** Id of the mail that is being sent. */
  sending?: string | null
  /** The configuration in force. */
  alerts?: AlertsConfig
}

type Now = Required<NotifierState>

export type Decision = {
  /** `incidents` or `outbox` differ from what they were at the last `decide`, or were restored. */
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
  state(): { incidents: Incident[]; outbox: OutboxMail[] } & Now
  restore(state: NotifierState): void
}

/** All instants are wall milliseconds, as they must survive a restart. */
export function createNotifier(ports: { ids: Ids; dice: Dice }, alerts: AlertsConfig): Notifier {
  const newId = () => ports.ids.next()
  const ends = createEnds()
  let is: Now = { incidents: [], outbox: [], recent: [], sending: null, alerts }
  let notices: string[] = []
  let changed = false

  function put(next: Partial<Now>): void {
    const was = is
    is = { ...was, ...next }
    changed ||= !isSameList(was.incidents, is.incidents) || !isSameList(was.outbox, is.outbox)
  }

  function send(now: number): OutboxMail[] {
    const { mail } = pickMail(is.outbox, now)
    if (is.sending !== null || mail === undefined) return []
    put({ sending: mail.id })
    ends.forget(mail.id)
    // To whom is asked now: a mended address also helps the mails that were written before.
    return [{ ...mail, mail: { ...mail.mail, to: [...is.alerts.to] } }]
  }

  return {
    configure(next) {
      const outbox = is.outbox.map((mail) => (mail.tries === 0 ? mail : { ...mail, nextAt: 0 }))
      put({ alerts: next, outbox })
    },

    tell(occurrences, now) {
      if (occurrences.length === 0) return
      const limits = limitsOf(is.alerts)
      put({ incidents: tellIncidents(is.incidents, occurrences, limits, now, newId) })
    },

    decide(now) {
      const due = dueMails(is, limitsOf(is.alerts), is.alerts.to, now, newId)
      put({ ...due.mails, outbox: clampWaits(due.mails.outbox, now) })
      const sends = send(now)
      const mailsAt = is.sending === null ? pickMail(is.outbox, now).wakeAt : Infinity
      const decision = { changed, sends, wakeAt: Math.min(due.wakeAt, mailsAt), notices }
      changed = false
      notices = []
      return decision
    },

    mailResult(id, error, now) {
      ends.note(id, error === null)
      if (is.sending === id) put({ sending: null })
      if (error === null) return put({ outbox: afterSent(is.outbox, id, now) })
      if (!is.outbox.some((mail) => mail.id === id)) return
      const failure = { id, error, random: ports.dice.random() }
      const after = afterFailure(is.outbox, failure, now)
      notices.push(...after.notices)
      put({ outbox: after.outbox })
    },

    testMail(now) {
      const id = newId()
      put({ outbox: withTestMail(is, id, is.alerts.to, now) })
      return id
    },

    state: () => ({ ...is, incidents: [...is.incidents], outbox: [...is.outbox] }),

    restore(state) {
      const outbox = state.outbox.filter(({ id }) => !ends.isAccepted(id))
      const sending = state.sending ?? null
      is = {
        ...is,
        ...state,
        outbox,
        sending: sending !== null && ends.has(sending) ? null : sending,
      }
      // What of it is on disk is not known here, so that it is written once more than needed.
      changed = true
      notices = []
    },
  }
}

/**
 * What the world did cannot be undone: a restored state must not send again what was accepted,
 * nor wait for the result of a send that has ended.
 */
function createEnds() {
  const ended = new Set<string>()
  const accepted = new Set<string>()
  return {
    note(id: string, isAccepted: boolean): void {
      remember(ended, id)
      if (isAccepted) remember(accepted, id)
    },
    forget: (id: string) => ended.delete(id),
    has: (id: string) => ended.has(id),
    isAccepted: (id: string) => accepted.has(id),
  }
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id)
  for (const oldest of ids) {
    if (ids.size <= RESULTS_KEPT_MAX) return
    ids.delete(oldest)
  }
}

function limitsOf(alerts: AlertsConfig): MailLimits {
  return {
    gatherMs: durationMs(alerts.gather),
    reminderMs: durationMs(alerts.reminder),
    digestAbove: alerts.digest_above,
  }
}
