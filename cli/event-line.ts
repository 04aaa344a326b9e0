// One event of the cluster as one line. Pure.

import type { ClusterEvent } from '#shared/model.ts'
import { type Paint, plain, type Tone } from './table.ts'

const ID_SHORT = 8

/** `14:03:22  instance changed  service=api node=w1 was=deploying now=started`. */
export function eventLine(event: ClusterEvent, options: { wide: boolean; paint: Paint }): string {
  const { paint } = options
  const fields = Object.entries(event.fields)
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${wordOf(key, value, options.wide)}`)
    .join(' ')
  const tone = toneOf(event)
  const text = plain(event.text)
  const said = tone === undefined ? text : paint(tone, text)
  return `${paint('dim', timeText(event.at))}  ${said}  ${fields}`.trimEnd()
}

const idKeys = new Set(['instance', 'deployment', 'replaces'])

function wordOf(key: string, value: string | number | boolean, wide: boolean): string {
  const text = plain(String(value))
  if (idKeys.has(key) && !wide) return text.slice(-ID_SHORT)
  return /\s/.test(text) ? JSON.stringify(text) : text
}

function toneOf({ kind, fields }: ClusterEvent): Tone | undefined {
  const words = `${kind} ${fields.now ?? ''}`
  if (/dead|failed|crashed|lost|frozen|incomplete/.test(words)) return 'bad'
  if (/suspect|reviving|unexpected/.test(words)) return 'warn'
  return undefined
}

function timeText(at: number): string {
  const date = new Date(at)
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()]
  return parts.map((part) => String(part).padStart(2, '0')).join(':')
}
