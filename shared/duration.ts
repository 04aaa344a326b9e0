// Durations as users write them, in milliseconds.

const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

export const DURATION_PATTERN = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/

/** Milliseconds of `250ms`, `1.5s`, `10m`, `6h`, `1d`. The text was checked at its door. */
export function durationMs(text: string): number {
  const match = DURATION_PATTERN.exec(text)
  const scale = match?.[2] === undefined ? undefined : unitMs[match[2]]
  if (match === null || scale === undefined) throw new Error(`not a duration: ${text}`)
  return Math.round(Number(match[1]) * scale)
}

/** `340 ms`, `12 s`, `3 min`, `2 h`: for people. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  return `${Math.round(ms / 3_600_000)} h`
}
