// What a controller might say of where a service's next instance would go.

import type { Explanation } from '#ctld/deployer/explain.ts'

export function anExplanation(service: string): Explanation {
  return {
    service,
    placement: 'round_robin',
    rule: 'round robin: the fewest of its instances, then the next in the ring after w1',
    ...{ wanted: 3, held: 1, next: 'w2', nowhere: null },
    nodes: [
      {
        ...{ node: 'w1', verdict: 'refused', order: null, instances: 1, why: [] },
        why_not: ['has 1 already (max_per_node 1)'],
      },
      {
        ...{ node: 'w2', verdict: 'next', order: 1, instances: 0, why_not: [] },
        why: ['has 0 of its instances'],
      },
    ],
  }
}
