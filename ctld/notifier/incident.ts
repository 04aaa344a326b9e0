// The life of incidents, as data: what opens one, what joins it, what is added to its story and
// when it is over. It promises that each begin and each end stands in exactly one incident that
// is still to be mailed, and that never more than INCIDENTS_MAX are kept.

import { INCIDENTS_MAX, type Incident } from '#ctld/discovery/document.ts'
import type { IncidentKind } from '#shared/model.ts'

export const STORY_MAX = 200

// Above this many unfinished incidents a new matter joins the newest of its kind. Each other kind
// can still open its first one, so the six kinds together stay below INCIDENTS_MAX.
const UNFINISHED_MAX = INCIDENTS_MAX - 10

export type Occurrence = {
  incident: IncidentKind
  /** The node or service that it is about. */
  subject: string
  what: 'begins' | 'note' | 'ends'
  /** A plain sentence: `w2 (10.0.0.12) is dead: no report for 8.2 s, 2 probes failed`. */
  text: string
}

export type IncidentLimits = { gatherMs: number; reminderMs: number }

/**
 * Folds what happened into the incidents. `now` is wall milliseconds. A begin whose subject is
 * in an open incident already, and an end or a note without one, change nothing.
 */
export function tellIncidents(
  incidents: readonly Incident[],
  occurrences: readonly Occurrence[],
  limits: IncidentLimits,
  now: number,
  newId: () => string,
): Incident[] {
  let told = [...incidents]
  for (const occurrence of occurrences) {
    told = tell(told, occurrence, limits, now, newId)
  }
  return trim(told)
}

/** Nothing is left to be mailed about it. */
export function isFinished(incident: Incident): boolean {
  return incident.state === 'recovered' && incident.mailAt === null
}

function tell(
  incidents: Incident[],
  occurrence: Occurrence,
  limits: IncidentLimits,
  now: number,
  newId: () => string,
): Incident[] {
  const { what, subject, text } = occurrence
  if (what === 'begins') return begin(incidents, occurrence, limits, now, newId)
  const touched = incidents.filter((incident) => covers(incident, occurrence))
  if (what === 'note') {
    const telling = touched.length > 0 ? touched : lastTelling(incidents, occurrence)
    return telling.reduce((all, one) => replace(all, withSentence(one, text, now)), incidents)
  }
  return touched.reduce(
    (all, one) => replace(all, end(withSentence(one, text, now), subject, limits, now)),
    incidents,
  )
}

/** What is noted just after the end still belongs into the mail about the end. */
function lastTelling(
  incidents: readonly Incident[],
  { incident: kind, subject }: Occurrence,
): Incident[] {
  const last = incidents.findLast(
    (incident) =>
      incident.kind === kind && incident.subjects.includes(subject) && !isFinished(incident),
  )
  return last === undefined ? [] : [last]
}

function begin(
  incidents: Incident[],
  occurrence: Occurrence,
  limits: IncidentLimits,
  now: number,
  newId: () => string,
): Incident[] {
  if (
    incidents.some(
      (incident) => incident.kind === occurrence.incident && has(incident, occurrence.subject),
    )
  ) {
    return incidents
  }
  const frozen = incidents.find((incident) => covers(incident, occurrence))
  if (frozen !== undefined) {
    if (frozen.story.some((line) => line.endsWith(occurrence.text))) return incidents
    return replace(incidents, withSentence(frozen, occurrence.text, now))
  }
  const { rest, absorbed } = absorb(incidents, occurrence, now)
  const host = hostOf(rest, occurrence.incident)
  if (host === undefined) {
    return [...rest, open(occurrence, absorbed, limits, now, newId())]
  }
  return replace(rest, join(host, occurrence, absorbed, limits, now))
}

function open(
  { incident, subject, text }: Occurrence,
  absorbed: readonly string[],
  { gatherMs }: IncidentLimits,
  now: number,
  id: string,
): Incident {
  return {
    id,
    kind: incident,
    subjects: [subject],
    over: [],
    state: 'gathering',
    openedAt: now,
    mailAt: now + gatherMs,
    recoveredAt: null,
    story: [...absorbed, sentence(text, now)],
    storyDropped: 0,
    mails: 0,
  }
}

/** What joins an incident that was mailed already, because there is no room, is mailed soon. */
function join(
  host: Incident,
  { subject, text }: Occurrence,
  absorbed: readonly string[],
  { gatherMs }: IncidentLimits,
  now: number,
): Incident {
  const joined = withSentence(
    {
      ...host,
      subjects: host.subjects.includes(subject) ? host.subjects : [...host.subjects, subject],
      over: host.over.filter((other) => other !== subject),
      recoveredAt: null,
      story: [...host.story, ...absorbed],
    },
    text,
    now,
  )
  if (host.state === 'gathering') return joined
  return { ...joined, state: 'open', mailAt: Math.min(host.mailAt ?? Infinity, now + gatherMs) }
}

/** Before its first mail it stays gathering: that mail tells both. After it, one more follows. */
function end(
  incident: Incident,
  subject: string,
  { gatherMs }: IncidentLimits,
  now: number,
): Incident {
  const over = [...incident.over, subject]
  if (over.length < incident.subjects.length) return { ...incident, over }
  if (incident.state === 'gathering') return { ...incident, over, recoveredAt: now }
  return { ...incident, over, state: 'recovered', recoveredAt: now, mailAt: now + gatherMs }
}

/** The incident that a new subject joins; undefined: a new one is opened. */
function hostOf(incidents: readonly Incident[], kind: IncidentKind): Incident | undefined {
  const sameKind = incidents.filter((incident) => incident.kind === kind && !isFinished(incident))
  const gathering = sameKind.findLast((incident) => incident.state === 'gathering')
  if (gathering !== undefined) return gathering
  const unfinished = incidents.filter((incident) => !isFinished(incident)).length
  return unfinished < UNFINISHED_MAX ? undefined : sameKind.at(-1)
}

/**
 * A mass failure takes over the deaths that are still gathering, so that nodes which vanish
 * together are told of in one mail (F13), and not one by one beside it.
 */
function absorb(
  incidents: readonly Incident[],
  { incident: kind, subject }: Occurrence,
  now: number,
): { rest: Incident[]; absorbed: string[] } {
  const death = incidents.find(
    (incident) =>
      incident.kind === 'node_dead' && incident.state === 'gathering' && has(incident, subject),
  )
  if (kind !== 'mass_failure' || death === undefined) return { rest: [...incidents], absorbed: [] }
  const subjects = death.subjects.filter((other) => other !== subject)
  // The story stays with the last node that leaves: it goes over once and is not told twice.
  if (subjects.length > 0) {
    const recoveredAt = subjects.length === death.over.length ? now : null
    return { rest: replace(incidents, { ...death, subjects, recoveredAt }), absorbed: [] }
  }
  return { rest: incidents.filter((incident) => incident !== death), absorbed: death.story }
}

/** A node of a mass failure needs no incident of its own death. */
function covers(incident: Incident, { incident: kind, subject }: Occurrence): boolean {
  const sameMatter =
    incident.kind === kind || (incident.kind === 'mass_failure' && kind === 'node_dead')
  return sameMatter && has(incident, subject)
}

function has(incident: Incident, subject: string): boolean {
  return (
    incident.state !== 'recovered' &&
    incident.subjects.includes(subject) &&
    !incident.over.includes(subject)
  )
}

function withSentence(incident: Incident, text: string, now: number): Incident {
  const story = [...incident.story, sentence(text, now)]
  const tooMany = Math.max(0, story.length - STORY_MAX)
  // How it began and how it stands now are worth more than what lies between.
  story.splice(STORY_MAX / 2, tooMany)
  return { ...incident, story, storyDropped: incident.storyDropped + tooMany }
}

function sentence(text: string, now: number): string {
  return `${new Date(now).toISOString()} ${text}`
}

function replace(incidents: readonly Incident[], changed: Incident): Incident[] {
  return incidents.map((incident) => (incident.id === changed.id ? changed : incident))
}

function trim(incidents: readonly Incident[]): Incident[] {
  let tooMany = incidents.length - INCIDENTS_MAX
  return incidents.filter((incident) => !isFinished(incident) || tooMany-- <= 0)
}
