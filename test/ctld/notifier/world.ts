// A controller's loop reduced to what the notifier sees of it: steps that are persisted or undone,
// sends that end some time later, crashes. Time stands still unless it is moved.

import type { Incident, OutboxMail } from '#ctld/discovery/document.ts'
import { createNotifier, type Decision, type Occurrence } from '#ctld/notifier/notifier.ts'
import type { AlertsConfig } from '#shared/configuration.ts'
import type { IncidentKind } from '#shared/model.ts'

export const START = Date.parse('2026-11-21T09:00:00.000Z')
export const second = 1_000
export const minute = 60 * second
export const hour = 60 * minute

export const alerts: AlertsConfig = {
  from: 'tucano@example.net',
  to: ['ops@example.net'],
  gather: '10s',
  reminder: '6h',
  digest_above: 5,
}

export class World {
  now = START
  sent: OutboxMail[] = []
  inFlight: OutboxMail[] = []
  /** What is on disk. */
  disk: { incidents: Incident[]; outbox: OutboxMail[] } = { incidents: [], outbox: [] }
  notices: string[] = []
  /** What the mail server says to the next sends; null: yes. */
  answer: string | null = null
  readonly everyIncident = new Map<string, Incident>()
  #config: AlertsConfig
  #random: () => number
  #ids = 0
  notifier: ReturnType<typeof createNotifier>

  constructor(config: Partial<AlertsConfig> = {}, random: () => number = () => 0.5) {
    this.#config = { ...alerts, ...config }
    this.#random = random
    this.notifier = this.#boot()
  }

  /** One step of the loop. `undone`: the disk was full, so nothing of it happened. */
  step(
    occurrences: readonly Occurrence[] = [],
    results: readonly { id: string; error: string | null }[] = [],
    undone = false,
  ): Decision {
    const before = this.notifier.state()
    for (const { id, error } of results) this.notifier.mailResult(id, error, this.now)
    this.notifier.tell(occurrences, this.now)
    const decision = this.notifier.decide(this.now)
    if (undone) {
      this.notifier.restore(before)
      return decision
    }
    this.#persist()
    this.notices.push(...decision.notices)
    this.inFlight.push(...decision.sends)
    return decision
  }

  /** Ends what is under way with the mail server's answer and gives the results. */
  settle(): { id: string; error: string | null }[] {
    const ended = this.inFlight.splice(0)
    if (this.answer === null) this.sent.push(...ended)
    return ended.map(({ id }) => ({ id, error: this.answer }))
  }

  /** Lets time pass, with each wake-up kept and each send answered at once. */
  pass(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const { wakeAt } = this.step([], this.settle())
      if (this.inFlight.length > 0) continue
      if (wakeAt > end) break
      this.now = Math.max(wakeAt, this.now)
    }
    this.now = end
  }

  /** The process dies and starts again with what is on disk. */
  crash(): void {
    this.inFlight = []
    this.notifier = this.#boot()
  }

  #boot(): ReturnType<typeof createNotifier> {
    const ids = { next: () => `id-${String(++this.#ids).padStart(6, '0')}` }
    const notifier = createNotifier({ ids, dice: { random: this.#random } }, this.#config)
    notifier.restore(JSON.parse(JSON.stringify(this.disk)))
    return notifier
  }

  #persist(): void {
    const { incidents, outbox } = this.notifier.state()
    this.disk = JSON.parse(JSON.stringify({ incidents, outbox }))
    for (const incident of this.disk.incidents) this.everyIncident.set(incident.id, incident)
  }
}

export function begins(
  subject: string,
  text = `${subject} is dead`,
  incident: IncidentKind = 'node_dead',
): Occurrence {
  return { incident, subject, what: 'begins', text }
}

export function note(subject: string, text: string): Occurrence {
  return { incident: 'node_dead', subject, what: 'note', text }
}

export function ends(
  subject: string,
  text = `${subject} is back`,
  incident: IncidentKind = 'node_dead',
): Occurrence {
  return { incident, subject, what: 'ends', text }
}
