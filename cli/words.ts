// How what the API tells is said in a table: states, times, sizes and short ids. Pure.

import { durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Instance, NodeState } from '#shared/model.ts'
import type { NodeAnswer, ServiceSummary } from './answers.ts'
import type { Cell, Tone } from './table.ts'

const SHORT_ID = 8
const PART_MIN = 3

/** `12 s`, `3 min`, `4 d`: how long ago. */
export function since(at: number, now: number): string {
  const ms = Math.max(0, now - at)
  return ms < 172_800_000 ? durationText(ms) : `${Math.floor(ms / 86_400_000)} d`
}

/** `1 instance`, `3 instances`. */
export function countText(count: number): string {
  return `${count} ${count === 1 ? 'instance' : 'instances'}`
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1]}`
}

/** Ends of ids, as long as it takes to tell them apart: their beginnings are times and alike. */
export function shortIds(ids: readonly string[]): (id: string) => string {
  const unique = [...new Set(ids)]
  const ends = (length: number) => new Set(unique.map((id) => id.slice(-length)))
  let length = SHORT_ID
  while (length < 64 && ends(length).size < unique.length) length += 1
  return (id) => id.slice(-length)
}

/** The instance that `word` is the id, the end or the beginning of. Throws `not_found`, `usage`. */
export function instanceOf(instances: readonly Instance[], word: string): Instance {
  const whole = instances.find(({ id }) => id === word)
  if (whole !== undefined) return whole
  const near = instances.filter(({ id }) => id.endsWith(word) || id.startsWith(word))
  const [first, second] = word.length < PART_MIN ? [] : near
  if (first === undefined) {
    throw new TucanoError('not_found', `there is no service or instance ${word}`)
  }
  if (second === undefined) return first
  const names = near.slice(0, 5).map(({ id, service }) => `${id} (${service})`)
  throw new TucanoError('usage', `${word} may be ${names.join(' or ')}; give more of the id`)
}

export function instanceState(instance: Instance): { text: string; tone?: Tone } {
  switch (instance.state) {
    case 'started':
      if (instance.healthy && !instance.admitted) return { text: 'standing by', tone: 'warn' }
      if (instance.healthy) return { text: 'healthy', tone: 'good' }
      return { text: unhealthyText(instance.phase), tone: 'warn' }
    case 'deploying':
      return { text: phaseText(instance), tone: 'warn' }
    case 'pre_terminating':
      return { text: 'stopping', tone: 'dim' }
    case 'terminating':
      return { text: instance.stopTry === 0 ? 'draining' : 'stopping', tone: 'dim' }
    case 'terminated':
    case 'never_started':
      return { text: 'stopped', tone: 'dim' }
    case 'lost':
      return { text: 'lost', tone: 'bad' }
    case 'failed_to_start':
      return { text: 'failed to start', tone: 'bad' }
    case 'failed_to_terminate':
      return { text: 'failed to stop', tone: 'bad' }
    case 'unexpected_terminated':
      return { text: 'ended', tone: 'bad' }
    case 'unexpected_crashed':
    case 'crashed':
      return { text: 'crashed', tone: 'bad' }
    default:
      // A newer controller may know more states than this program.
      return { text: String(instance.state satisfies never) }
  }
}

function unhealthyText(phase: Instance['phase']): string {
  if (phase === 'backoff') return 'restarting'
  return phase === 'stopping' ? 'stopping' : 'unhealthy'
}

/** An attempt that failed waits for its next one. */
function phaseText({ phase, attempt, retryAt }: Instance): string {
  const known = phase === 'unhealthy' ? 'not ready' : (phase ?? 'waiting')
  const text = retryAt !== undefined ? 'waits to retry' : known
  return attempt > 1 ? `${text} (try ${attempt})` : text
}

/** What becomes of its requests comes first: how much of it runs is told beside it. */
export function serviceState({ state, traffic }: ServiceSummary): Cell {
  if (traffic.state !== 'open') return { text: traffic.state, tone: 'warn' }
  const tones: Record<ServiceSummary['state'], Tone> = {
    running: 'good',
    starting: 'warn',
    partial: 'warn',
    down: 'bad',
    stopping: 'dim',
    stopped: 'dim',
    removing: 'dim',
  }
  return { text: state, tone: tones[state] }
}

export function nodeState(node: Pick<NodeAnswer, 'state' | 'drained' | 'drain' | 'cordoned'>): {
  text: string
  tone: Tone
} {
  const { state } = node
  const tones: Record<NodeState, Tone> = {
    unknown: 'dim',
    alive: 'good',
    suspect: 'warn',
    reviving: 'warn',
    dead: 'bad',
  }
  const closed = closedWord(node)
  if (closed === undefined) return { text: state, tone: tones[state] }
  return { text: state === 'alive' ? closed : `${state}, ${closed}`, tone: 'warn' }
}

/** Why it gets no instance though it is alive; a drain says how far it has come. */
function closedWord({
  drained,
  drain,
  cordoned,
}: Pick<NodeAnswer, 'drained' | 'drain' | 'cordoned'>): string | undefined {
  if (!drained) return cordoned ? 'cordoned' : undefined
  if (drain === null || drain.emptyAt !== undefined) return 'drained'
  return drain.isLate ? 'drain late' : 'drains'
}

/** `w1 w2 w3×2`. */
export function nodesText(nodes: Record<string, number>): string {
  const names = Object.entries(nodes).map(([name, count]) =>
    count > 1 ? `${name}×${count}` : name,
  )
  return names.join(' ')
}
