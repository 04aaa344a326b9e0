// The numbers that the load asks for, by class, and the only answer to each that counts.

import golden from '#services/number-fact/golden.json' with { type: 'json' }

export type Fact = { number: string; class: LoadClass; path: string; body: string }

/**
 * `hard` are the hard numbers of like cost, `x-hard` the one above them. The others of that level
 * are either easier than a medium one or take far too long to say anything about a server.
 */
export const loadClasses = ['easy', 'medium', 'hard', 'x-hard'] as const
export type LoadClass = (typeof loadClasses)[number]

const UNIFORM_HARD = [0, 2, 6, 8]
const X_HARD = [1]

export function factsOf(loadClass: LoadClass): Fact[] {
  const level = loadClass === 'x-hard' ? 'hard' : loadClass
  const places = loadClass === 'hard' ? UNIFORM_HARD : loadClass === 'x-hard' ? X_HARD : undefined
  return golden
    .filter((fact) => fact.level === level)
    .filter((_, place) => places === undefined || places.includes(place))
    .map(({ number, factors, sha }) => ({
      number,
      class: loadClass,
      path: `/factors?number=${number}`,
      body: JSON.stringify({ fatores: factors, sha }),
    }))
}
