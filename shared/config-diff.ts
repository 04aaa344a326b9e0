// What differs between two configurations, key by key, in words a user knows from the file:
// `env.MODE`, `update.max_surge`. Pure.

import { compare } from './compare.ts'

/** Without `before`: the key is new. Without `after`: it is gone. */
export type KeyChange = { key: string; before?: unknown; after?: unknown }

/**
 * Sorted by key. A list is compared and told whole; an object that is empty or missing on one side
 * is told key by key.
 */
export function diffConfig(before: unknown, after: unknown): KeyChange[] {
  const was = leavesOf(before)
  const is = leavesOf(after)
  return [...new Set([...was.keys(), ...is.keys()])].toSorted(compare).flatMap((key) => {
    const [from, to] = [was.get(key), is.get(key)]
    if (JSON.stringify(from) === JSON.stringify(to)) return []
    return [
      {
        key,
        ...(from === undefined ? {} : { before: from }),
        ...(to === undefined ? {} : { after: to }),
      },
    ]
  })
}

function leavesOf(value: unknown, path = '', leaves = new Map<string, unknown>()) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    if (value !== undefined) leaves.set(path, sorted(value))
    return leaves
  }
  for (const [key, inner] of Object.entries(value)) {
    leavesOf(inner, path === '' ? key : `${path}.${key}`, leaves)
  }
  return leaves
}

/** The order in which the keys of an object in a list were written means nothing. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => compare(a, b))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}
