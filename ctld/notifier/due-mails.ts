// Which mails are due: the first one of an incident, its reminders and its recovery; and when so
// many are due at once that a digest tells of them in one. It promises at most `digestAbove`
// mails in any minute.

import type { Incident, MailKind, OutboxMail } from '#ctld/discovery/document.ts'
import { digestText, hasReminders, type MailText, mailText, testMailText } from './mail-text.ts'
import { makeRoom } from './outbox.ts'

const WINDOW_MS = 60_000

export type MailLimits = { gatherMs: number; reminderMs: number; digestAbove: number }

export type Mails = {
  incidents: readonly Incident[]
  outbox: readonly OutboxMail[]
  /** Wall instants of the mails that were written within the last minute. */
  recent: readonly number[]
  /** The one under way; it is not dropped. */
  sending: string | null
}

type Due = { incident: Incident; kind: MailKind }

/** Writes what is due at the wall instant `now`; `wakeAt` is when to ask again. */
export function dueMails(
  mails: Mails,
  limits: MailLimits,
  to: readonly string[],
  now: number,
  newId: () => string,
): { mails: Omit<Mails, 'sending'>; wakeAt: number } {
  const recent = mails.recent.filter((at) => at <= now && now - at < WINDOW_MS)
  const incidents = mails.incidents.map((incident) => clampWait(incident, limits, now))
  const ripe = incidents.filter(({ mailAt }) => mailAt !== null && mailAt <= now)
  const due = ripe
    .map((incident) => ({ incident, kind: kindOf(incident) }))
    .filter(({ incident, kind }) => kind !== 'reminder' || !isWaiting(incident, mails.outbox))
  const isHeld = due.length > 0 && recent.length >= Math.max(1, limits.digestAbove)
  if (isHeld) {
    const freeAt = Math.min(...recent) + WINDOW_MS
    return { mails: { incidents, outbox: mails.outbox, recent }, wakeAt: freeAt }
  }

  const texts = textsOf(due, recent.length, limits, now)
  const room = makeRoom(mails.outbox, texts.length, mails.sending)
  const written = texts.map((text, index) =>
    outboxMail(text, index === 0 ? room.dropped : [], to, now, newId()),
  )
  const after = incidents.map((incident) =>
    ripe.includes(incident) ? mailed(incident, due, limits, now) : incident,
  )
  return {
    mails: {
      incidents: after,
      outbox: [...room.outbox, ...written],
      recent: [...recent, ...written.map(() => now)],
    },
    wakeAt: Math.min(...after.map(({ mailAt }) => mailAt ?? Infinity)),
  }
}

/** A test goes out beside the alerts; it is in no incident and counts for no digest. */
export function withTestMail(
  { outbox, sending }: Pick<Mails, 'outbox' | 'sending'>,
  id: string,
  to: readonly string[],
  now: number,
): OutboxMail[] {
  const room = makeRoom(outbox, 1, sending)
  const text = { kind: 'test', incident: null, ...testMailText(id, now) } as const
  return [...room.outbox, outboxMail(text, room.dropped, to, now, id)]
}

/** A wall clock that was set back must not put off a mail for longer than it was to wait. */
function clampWait(incident: Incident, limits: MailLimits, now: number): Incident {
  if (incident.mailAt === null) return incident
  const latest = now + (incident.state === 'open' ? limits.reminderMs : limits.gatherMs)
  return incident.mailAt > latest ? { ...incident, mailAt: latest } : incident
}

function kindOf(incident: Incident): MailKind {
  if (incident.state === 'open') return 'reminder'
  if (incident.state === 'recovered') return 'recovery'
  return incident.over.length === incident.subjects.length ? 'first_and_recovery' : 'first'
}

/** While the mail server is down, reminders of what it was not even told would pile up. */
function isWaiting(incident: Incident, outbox: readonly OutboxMail[]): boolean {
  return outbox.some((mail) => mail.incident === incident.id)
}

type Text = MailText & { kind: MailKind; incident: string | null }

function textsOf(
  due: readonly Due[],
  recentCount: number,
  limits: MailLimits,
  now: number,
): Text[] {
  if (recentCount + due.length > limits.digestAbove && due.length > 1) {
    return [{ kind: 'digest', incident: null, ...digestText(due, limits.reminderMs, now) }]
  }
  return due.map(({ incident, kind }) => ({
    kind,
    incident: incident.id,
    ...mailText(incident, kind, limits.reminderMs, now),
  }))
}

function outboxMail(
  { kind, incident, subject, text }: Text,
  dropped: readonly OutboxMail[],
  to: readonly string[],
  now: number,
  id: string,
): OutboxMail {
  const droppedCount = dropped.reduce((sum, mail) => sum + 1 + mail.dropped, 0)
  const gap =
    droppedCount === 0
      ? ''
      : `\n${droppedCount} older mail(s) could not be kept, as too many waited for the mail server.\nThe incidents are listed by: tucano alerts\n`
  return {
    id,
    kind,
    incident,
    createdAt: now,
    mail: { to: [...to], subject, text: text + gap },
    dropped: droppedCount,
    tries: 0,
    nextAt: now,
    lastError: null,
  }
}

function mailed(
  incident: Incident,
  due: readonly Due[],
  { reminderMs }: MailLimits,
  now: number,
): Incident {
  const kind = due.find((one) => one.incident === incident)?.kind
  if (kind === undefined) return { ...incident, mailAt: now + reminderMs }
  const againAt = hasReminders(incident.kind) ? now + reminderMs : null
  const mails = incident.mails + 1
  if (kind === 'recovery') return { ...incident, mails, mailAt: null }
  if (kind === 'first_and_recovery') return { ...incident, mails, state: 'recovered', mailAt: null }
  return { ...incident, mails, state: 'open', mailAt: againAt }
}
