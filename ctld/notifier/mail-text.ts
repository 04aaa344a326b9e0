// The words of each mail: what happened, since when, to which nodes or services, what was moved
// where and what could not be, and what the sysadmin does next. It promises a subject of one
// line of limited length, and a text of limited size.

import type { Incident, MailKind } from '#ctld/discovery/document.ts'
import { durationText } from '#shared/duration.ts'
import type { IncidentKind } from '#shared/model.ts'

export const SUBJECT_MAX = 150
export const TEXT_MAX = 64 * 1024
const NAMES_IN_SUBJECT_MAX = 5
const DIGEST_STORY_MAX = 4

export type MailText = { subject: string; text: string }

type Words = {
  title(names: string, count: number): string
  /** The same matter when it is over. */
  over(names: string, count: number): string
  /** The label of its subjects in the mail's head. */
  label: string
  /** What stands between the head and the story. */
  explain: readonly string[]
  advice(first: string): readonly string[]
}

const wordsOf: Record<IncidentKind, Words> = {
  node_dead: {
    title: (names, count) =>
      count === 1 ? `node ${names} is dead` : `${count} nodes are dead: ${names}`,
    over: (names, count) => (count === 1 ? `node ${names}` : `${count} nodes: ${names}`),
    label: 'Nodes',
    explain: [],
    advice: (first) => [
      'See whether the machine has power and network, and start it.',
      `On it: systemctl status tucano-agentd; journalctl -u tucano-agentd`,
      `What the controller knows: tucano show ${first}`,
      'It joins again by itself. To give it up, drain it or take it out of the topology.',
    ],
  },
  mass_failure: {
    title: (names, count) =>
      count === 1
        ? `more than half of the nodes vanished: ${names}`
        : `${count} nodes vanished at once: ${names}`,
    over: (names, count) =>
      count === 1
        ? `node ${names}, which had vanished`
        : `${count} nodes that had vanished: ${names}`,
    label: 'Nodes',
    explain: [
      'More than half of the nodes vanished at once; the controller may be the one that is cut off.',
      'Nothing is moved until nodes are seen again or you say that they are really gone.',
    ],
    advice: () => [
      "First look at the controller's own network: cable, switch, firewall, address.",
      'If the nodes are really gone, let their instances be moved anyway: tucano unfreeze',
      'Programs on the nodes go on running and are adopted when the nodes are seen again.',
    ],
  },
  service_failed: {
    title: (names, count) =>
      count === 1 ? `service ${names} is failing` : `${count} services are failing: ${names}`,
    over: (names, count) => (count === 1 ? `service ${names}` : `${count} services: ${names}`),
    label: 'Services',
    explain: [],
    advice: (first) => [
      `What it says: tucano logs ${first}`,
      `Its instances and why each failed: tucano show ${first}`,
      'Mend its program or its configuration and deploy it again.',
    ],
  },
  no_workers: {
    title: () => 'no worker is alive',
    over: () => 'a worker is alive again',
    label: 'About',
    explain: ['No worker is alive: nothing can be started, and requests are answered with 503.'],
    advice: () => [
      'What the controller knows of each worker: tucano nodes',
      'On a worker: systemctl status tucano-agentd; journalctl -u tucano-agentd',
      'What waits is started when a worker joins.',
    ],
  },
  store: {
    title: () => 'the controller cannot write its state',
    over: () => 'the controller writes its state again',
    label: 'About',
    explain: [
      'Running services and their traffic go on; changes are refused until this is mended.',
    ],
    advice: () => [
      'On the controller: see whether the disk of its store folder is full or read-only (df -h).',
      'It goes on by itself once it can write.',
    ],
  },
  second_controller: {
    title: () => 'a second controller gives orders to the agents',
    over: () => 'the second controller is gone',
    label: 'About',
    explain: ['The agents obey the controller with the highest epoch and refuse the other one.'],
    advice: () => [
      'Find the machine on which the other tucano_ctld runs and stop it there.',
      'It is often a restored backup or an old controller that was started again.',
    ],
  },
  no_spare: {
    title: (names, count) =>
      count === 1
        ? `no spare place for service ${names}`
        : `no spare places for ${count} services: ${names}`,
    over: (names, count) =>
      count === 1 ? `a spare place for service ${names}` : `spare places for ${names}`,
    label: 'Services',
    explain: [
      'Everything runs. But the loss of any one worker would leave something without a place.',
    ],
    advice: (first) => [
      `What would happen: tucano simulate --kill NODE; why no other node: tucano explain ${first}`,
      'Add a worker, or let instances share one: limits, max_per_node, constraints, concurrency.',
      'What may change its node by no means (sticky, volumes) is not counted.',
    ],
  },
  drain_late: {
    title: (names, count) =>
      count === 1 ? `node ${names} is not empty yet` : `${count} nodes are not empty yet: ${names}`,
    over: (names, count) =>
      count === 1 ? `the drain of node ${names}` : `the drains of ${count} nodes: ${names}`,
    label: 'Nodes',
    explain: ['The deadline of a drain has passed. It goes on; what is left is not stopped.'],
    advice: (first) => [
      `What holds it up: tucano drain ${first}`,
      `To move what is sticky too, and to stop what finds no place: tucano drain ${first} --force`,
      `To give it up: tucano undrain ${first}`,
    ],
  },
}

/** A lack of spare places is no outage: it is told of once, and stands in the list of alerts. */
export function hasReminders(kind: IncidentKind): boolean {
  return kind !== 'no_spare'
}

/** `reminderMs` is named in the mail as the time of the next one. */
export function mailText(
  incident: Incident,
  kind: MailKind,
  reminderMs: number,
  now: number,
): MailText {
  const left = leftOf(incident)
  const isOver = left.length === 0
  const words = wordsOf[incident.kind]
  const advice = isOver ? ['Nothing. This is for your information.'] : words.advice(left[0] ?? '')
  const text = [
    `${sentenceCase(titleOf(incident, kind, now))}.`,
    // A reminder leaves it out: a freeze may have been lifted since, which the story tells.
    ...(kind === 'first' ? words.explain : []),
    '',
    ...headOf(incident, left, now),
    '',
    'What happened',
    ...storyOf(incident).map((line) => `  ${line}`),
    '',
    'What to do',
    ...advice.map((line) => `  - ${line}`),
    '',
    `Incident: ${incident.id} (${kind}, mail ${incident.mails + 1})`,
    isOver
      ? 'This was the last mail about it.'
      : `${reminderText(incident.kind, reminderMs)}; one mail tells when it is over.`,
  ]
  return { subject: subjectLine(titleOf(incident, kind, now)), text: textOf(text) }
}

/** One mail about many incidents. */
export function digestText(
  due: readonly { incident: Incident; kind: MailKind }[],
  reminderMs: number,
  now: number,
): MailText {
  const titles = due.map(({ incident, kind }) => titleOf(incident, kind, now))
  const openCount = due.filter(({ kind }) => kind === 'first' || kind === 'reminder').length
  const title = `${due.length} alerts in one: ${openCount} open, ${due.length - openCount} over`
  const sections = due.flatMap(({ incident, kind }, index) => [
    `${index + 1}. ${sentenceCase(titles[index] ?? '')}`,
    `   since ${iso(incident.openedAt)}`,
    ...shortStory(incident).map((line) => `   ${line}`),
    `   Incident: ${incident.id} (${kind}, mail ${incident.mails + 1})`,
    '',
  ])
  const text = [
    `So much happened within a minute that ${due.length} alerts stand in this one mail.`,
    '',
    ...titles.map((line, index) => `  ${index + 1}. ${line}`),
    '',
    ...sections,
    'What to do',
    '  - See what is open now: tucano alerts',
    `  - What stays open is told of again in ${durationText(reminderMs)}.`,
  ]
  return { subject: subjectLine(title), text: textOf(text) }
}

export function testMailText(id: string, now: number): MailText {
  return {
    subject: subjectLine('test alert'),
    text: textOf([
      'This is a test: the alerts of this Tucano controller reach you.',
      '',
      `Asked for at ${iso(now)} by: tucano alerts test`,
      `Mail: ${id}`,
    ]),
  }
}

function reminderText(kind: IncidentKind, reminderMs: number): string {
  if (!hasReminders(kind)) return 'You are not reminded of it'
  return `While it lasts you are reminded every ${durationText(reminderMs)}`
}

function titleOf(incident: Incident, kind: MailKind, now: number): string {
  const words = wordsOf[incident.kind]
  const lasted = durationText(Math.max(0, (incident.recoveredAt ?? now) - incident.openedAt))
  const left = leftOf(incident)
  if (left.length > 0) {
    const title = words.title(namesOf(left), left.length)
    return kind === 'reminder' ? `still, after ${lasted}: ${title}` : title
  }
  const title = words.over(namesOf(incident.subjects), incident.subjects.length)
  if (kind === 'first_and_recovery') return `began and was over within ${lasted}: ${title}`
  return `recovered after ${lasted}: ${title}`
}

function leftOf(incident: Incident): string[] {
  return incident.subjects.filter((subject) => !incident.over.includes(subject))
}

function headOf(incident: Incident, left: readonly string[], now: number): string[] {
  const { label } = wordsOf[incident.kind]
  const end = incident.recoveredAt ?? now
  const lasted = durationText(Math.max(0, end - incident.openedAt))
  return [
    `Since: ${iso(incident.openedAt)} (${lasted})`,
    ...(left.length === 0 && incident.recoveredAt !== null
      ? [`Until: ${iso(incident.recoveredAt)}`]
      : []),
    `${label}: ${incident.subjects.join(', ')}`,
    ...(incident.over.length > 0 && left.length > 0
      ? [`Well again: ${incident.over.join(', ')}`, `Still open: ${left.join(', ')}`]
      : []),
  ]
}

function storyOf(incident: Incident): string[] {
  if (incident.storyDropped === 0) return incident.story
  const half = Math.floor(incident.story.length / 2)
  const gap = `… ${incident.storyDropped} more sentences, see: tucano events`
  return [...incident.story.slice(0, half), gap, ...incident.story.slice(half)]
}

function shortStory(incident: Incident): string[] {
  const { story, storyDropped } = incident
  if (story.length <= DIGEST_STORY_MAX) return story
  const half = DIGEST_STORY_MAX / 2
  const gap = `… ${story.length - DIGEST_STORY_MAX + storyDropped} more sentences, see: tucano alerts`
  return [...story.slice(0, half), gap, ...story.slice(-half)]
}

function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_IN_SUBJECT_MAX).join(', ')
  const more = names.length - NAMES_IN_SUBJECT_MAX
  return more > 0 ? `${shown} and ${more} more` : shown
}

/** One line: whatever a name or a program put into it, no header can be smuggled in. */
function subjectLine(title: string): string {
  const line = `[tucano] ${oneLine(title)}`
  return line.length <= SUBJECT_MAX ? line : `${line.slice(0, SUBJECT_MAX - 1)}…`
}

function textOf(lines: readonly string[]): string {
  const text = `${lines.map(oneLine).join('\n')}\n`
  if (text.length <= TEXT_MAX) return text
  return `${text.slice(0, TEXT_MAX)}\n… the rest is left out, see: tucano alerts\n`
}

function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
}

function sentenceCase(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

function iso(at: number): string {
  return new Date(at).toISOString()
}
