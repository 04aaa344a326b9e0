// Reads parts of data that no schema has accepted yet: what is not of the wanted kind is absent.

export function partOf(data: unknown, key: string): unknown {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return undefined
  return Object.hasOwn(data, key) ? (data as Record<string, unknown>)[key] : undefined
}

export function textAt(data: unknown, key: string): string | undefined {
  const value = partOf(data, key)
  return typeof value === 'string' ? value : undefined
}

export function numberAt(data: unknown, key: string): number | undefined {
  const value = partOf(data, key)
  return typeof value === 'number' ? value : undefined
}

export function itemsOf(data: unknown, key: string): unknown[] {
  const value = partOf(data, key)
  return Array.isArray(value) ? value : []
}
