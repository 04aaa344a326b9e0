// Finds the word that a mistyped one was meant to be.

const WORD_LENGTH_MAX = 64

/** The nearest of `known` within a third of the word's length, or undefined. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  if (word.length > WORD_LENGTH_MAX) return undefined
  const patience = Math.max(1, Math.floor(word.length / 3))
  const near = known
    .map((candidate) => ({ candidate, away: distance(word.toLowerCase(), candidate) }))
    .filter(({ away }) => away <= patience)
    .sort((a, b) => a.away - b.away || (a.candidate < b.candidate ? -1 : 1))
  return near[0]?.candidate
}

/**
 * Optimal string alignment distance (Damerau-Levenshtein in which no part is edited twice):
 * insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
 */
export function distance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      current[column] = Math.min(
        (current[column - 1] ?? 0) + 1,
        (last[column] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
        swapped && row > 1 && column > 1 ? (beforeLast[column - 2] ?? 0) + 1 : Number.MAX_VALUE,
      )
    }
    beforeLast = last
    last = current
  }
  return last[b.length] ?? 0
}
