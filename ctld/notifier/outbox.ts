// Which waiting mail is sent now, and what its result means for it and for the others. It promises
// that a mail leaves the outbox only when it was accepted, when it was refused for good for a
// week, or when the outbox is full (and then the next mail says so).

import { OUTBOX_MAX, type OutboxMail } from '#ctld/discovery/document.ts'

export const BACKOFF_FIRST_MS = 5_000
// A server that is back gets its mail within a minute (F39), jitter included.
export const BACKOFF_MAX_MS = 50_000
// What the server refuses for good needs a human; asking it each minute gets the sender banned.
export const BACKOFF_REFUSED_MAX_MS = 600_000
export const REFUSED_KEPT_MS = 7 * 86_400_000
const JITTER = 0.2
// A server may answer with pages of text; what is kept of it is shown, not stored.
const ERROR_KEPT_MAX = 300
const PAUSE_MS = 5_000
const PAUSE_REFUSED_MS = 60_000

/** The mailer's words for what the server said; a reply of 5xx is a refusal for good. */
export function answeredWords(code: number, reply: string): string {
  return `the mail server answered ${code}: ${reply}`
}

export function isRefusal(error: string): boolean {
  return /\banswered (\d{3})\b/.exec(error)?.[1]?.startsWith('5') ?? false
}

/**
 * The oldest mail that may go now, but no recovery before the mail that it answers. `wakeAt` is
 * the wall instant at which the next one may.
 */
export function pickMail(
  outbox: readonly OutboxMail[],
  now: number,
): { mail: OutboxMail | undefined; wakeAt: number } {
  const ahead = new Set<string>()
  const free = outbox.filter(({ incident, lastError }) => {
    if (incident === null) return true
    const isBehind = ahead.has(incident)
    // Behind one that is refused for good it need not wait for days.
    if (lastError === null || !isRefusal(lastError)) ahead.add(incident)
    return !isBehind
  })
  const mail = free.find(({ nextAt }) => nextAt <= now)
  return { mail, wakeAt: Math.min(...free.map(({ nextAt }) => nextAt)) }
}

/** A wall clock that was set back must not keep a mail for longer than its longest back-off. */
export function clampWaits(outbox: readonly OutboxMail[], now: number): OutboxMail[] {
  const latest = now + BACKOFF_REFUSED_MAX_MS * (1 + JITTER)
  return outbox.map((mail) => (mail.nextAt > latest ? { ...mail, nextAt: latest } : mail))
}

/** It was accepted, so the server is well: what waited for it goes now. */
export function afterSent(outbox: readonly OutboxMail[], id: string, now: number): OutboxMail[] {
  return outbox
    .filter((mail) => mail.id !== id)
    .map((mail) => {
      const waitsForItself = mail.lastError !== null && isRefusal(mail.lastError)
      return waitsForItself || mail.nextAt <= now ? mail : { ...mail, nextAt: now }
    })
}

/**
 * It failed: tried again after 5 s, 10 s, 20 s … with ±20 % of jitter from `random` in [0, 1).
 * The others wait a little too, so that a full outbox does not hammer a server that is down.
 */
export function afterFailure(
  outbox: readonly OutboxMail[],
  failure: { id: string; error: string; random: number },
  now: number,
): { outbox: OutboxMail[]; notices: string[] } {
  const refused = isRefusal(failure.error)
  const othersAt = now + (refused ? PAUSE_REFUSED_MS : PAUSE_MS)
  const notices: string[] = []
  const kept = outbox.flatMap((mail) => {
    if (mail.id !== failure.id) return [{ ...mail, nextAt: Math.max(mail.nextAt, othersAt) }]
    if (refused && now - mail.createdAt >= REFUSED_KEPT_MS) {
      notices.push(`mail "${mail.mail.subject}" dropped, refused for 7 days: ${failure.error}`)
      return []
    }
    const nextAt = now + backoffMs(mail.tries, refused, failure.random)
    return [
      { ...mail, tries: mail.tries + 1, nextAt, lastError: failure.error.slice(0, ERROR_KEPT_MAX) },
    ]
  })
  return { outbox: kept, notices }
}

/**
 * Makes room for `count` mails. Reminders and digests go first, as the matter stands in another
 * mail or in the list of incidents; oldest first.
 */
export function makeRoom(
  outbox: readonly OutboxMail[],
  count: number,
  sending: string | null,
): { outbox: OutboxMail[]; dropped: OutboxMail[] } {
  const tooMany = Math.max(0, outbox.length + count - OUTBOX_MAX)
  const candidates = outbox.filter((mail) => mail.id !== sending)
  const byWorth = [
    ...candidates.filter(({ kind }) => kind === 'test'),
    ...candidates.filter(({ kind }) => kind === 'reminder' || kind === 'digest'),
    ...candidates.filter(({ kind }) => kind !== 'reminder' && kind !== 'digest' && kind !== 'test'),
  ]
  const dropped = byWorth.slice(0, tooMany)
  return { outbox: outbox.filter((mail) => !dropped.includes(mail)), dropped }
}

function backoffMs(tries: number, refused: boolean, random: number): number {
  const most = refused ? BACKOFF_REFUSED_MAX_MS : BACKOFF_MAX_MS
  const wait = Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(tries, 30), most)
  return Math.round(wait * (1 - JITTER + 2 * JITTER * random))
}
