// The process beside the proxies: the origin and the clients in one loop, so that neither waits for
// the other's turn on their core. It is told jobs and answers each with what it found.

import type { Found, Job } from './job.ts'
import { measure } from './measure.ts'
import { createOrigin } from './origin.ts'

export type LoadNews =
  | { kind: 'started'; ports: number[] }
  | { kind: 'found'; found: Found }
  | { kind: 'failed'; message: string }

const origin = await createOrigin()

function tell(news: LoadNews): void {
  process.send?.(news)
}

async function run(job: Job): Promise<void> {
  try {
    const found = await measure(job)
    const faults = origin.faults()
    for (const fault of faults) found.failures[fault] = (found.failures[fault] ?? 0) + 1
    tell({ kind: 'found', found: { ...found, failed: found.failed + faults.length } })
  } catch (error) {
    const message = [(error as Error).message, ...origin.faults()].join('; ')
    tell({ kind: 'failed', message })
  }
}

process.on('message', (job: Job) => void run(job))
// The command has ended, whatever way: nobody is left to measure for.
process.on('disconnect', () => process.exit())
tell({ kind: 'started', ports: origin.ports })
