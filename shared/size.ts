// Sizes as users write them, in bytes.

const unitBytes: Record<string, number> = { B: 1, KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 }

export const SIZE_PATTERN = /^(\d{1,9}(?:\.\d{1,3})?)(B|KiB|MiB|GiB)$/

/** Bytes of `0B`, `512KiB`, `1.5MiB`, `1GiB`. The text was checked at its door. */
export function sizeBytes(text: string): number {
  const match = SIZE_PATTERN.exec(text)
  const scale = match?.[2] === undefined ? undefined : unitBytes[match[2]]
  if (match === null || scale === undefined) throw new Error(`not a size: ${text}`)
  return Math.round(Number(match[1]) * scale)
}

/** A number of bytes for people, in the largest unit that keeps it above 1: `512MiB`, `1.9GiB`. */
export function sizeText(bytes: number): string {
  const units = Object.entries(unitBytes).toReversed()
  const [unit, scale] = units.find(([, size]) => bytes >= size) ?? ['B', 1]
  return `${Math.round((bytes / scale) * 10) / 10}${unit}`
}
