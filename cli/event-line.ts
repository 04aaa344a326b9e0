// One event of the cluster as one line. Pure.

import type { ClusterEvent } from '#shared/model.ts'
import { type Paint, plain, type Tone } from './table.ts'

const ID_SHORT = 8

/**
 * `14:03:22  instance 3f2a9c01 of api on w1: deploying -> started (its health check passed)`;
 * with --wide the event's own sentence and all of its fields.
 */
export function eventLine(event: ClusterEvent, options: { wide: boolean; paint: Paint }): string {
  const { paint, wide } = options
  const tone = toneOf(event)
  const time = paint('dim', timeText(event.at))
  const change = wide ? undefined : changeText(event)
  const said = plain(change ?? event.text)
  const text = tone === undefined ? said : paint(tone, said)
  return `${time}  ${text}${change === undefined ? fieldsText(event, wide) : ''}`
}

/** undefined: it is not a change from one state to another. */
function changeText({ kind, fields }: ClusterEvent): string | undefined {
  const { was, instance, service, node, deployment, why, healthy } = fields
  const now = fields.now ?? fields.state ?? drainWords[kind]
  if (now === undefined) return undefined
  const of = service === undefined ? '' : ` of ${service}`
  const subject =
    instance !== undefined
      ? `instance ${shortOf(instance)}${of} on ${node}`
      : deployment !== undefined
        ? `deployment ${shortOf(deployment)}${of}`
        : node !== undefined
          ? `node ${node}`
          : service !== undefined
            ? `traffic${of}`
            : undefined
  if (subject === undefined) return undefined
  const isHealth = was === now && healthy !== undefined
  const moved = was === undefined || was === '' ? String(now) : `${was} -> ${now}`
  const health = healthy === true ? 'healthy' : 'unhealthy'
  const change = placeWords[kind] ?? (isHealth ? health : moved)
  return `${subject}: ${change}${why === undefined || why === '' ? '' : ` (${why})`}`
}

/** Whether an instance has a place in the route table is no state of its own either. */
const placeWords: Record<string, string> = {
  'instance.admitted': 'gets requests',
  'instance.withdrawn': 'gets no more requests',
}

/** Whether a node gets instances is no state of its own. */
const drainWords: Record<string, string> = {
  'node.drained': 'drained',
  'node.undrained': 'takes instances again',
  'node.empty': 'drained and empty',
  'node.drain_late': 'not empty at the deadline of its drain',
  'node.cordoned': 'cordoned',
  'node.uncordoned': 'takes new instances again',
}

const shortOf = (id: string | number | boolean) => String(id).slice(-ID_SHORT)

function fieldsText({ fields }: ClusterEvent, wide: boolean): string {
  const words = Object.entries(fields)
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${wordOf(key, value, wide)}`)
  return words.length === 0 ? '' : `  ${words.join(' ')}`
}

const idKeys = new Set(['instance', 'deployment', 'replaces'])

function wordOf(key: string, value: string | number | boolean, wide: boolean): string {
  const text = plain(String(value))
  if (idKeys.has(key) && !wide) return text.slice(-ID_SHORT)
  return /\s/.test(text) ? JSON.stringify(text) : text
}

function toneOf({ kind, fields }: ClusterEvent): Tone | undefined {
  const words = `${kind} ${fields.now ?? ''} ${fields.state ?? ''}`
  if (/dead|failed|crashed|lost|frozen|incomplete/.test(words)) return 'bad'
  if (/suspect|reviving|unexpected|paused|maintenance|late/.test(words)) return 'warn'
  return undefined
}

function timeText(at: number): string {
  const date = new Date(at)
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()]
  return parts.map((part) => String(part).padStart(2, '0')).join(':')
}
