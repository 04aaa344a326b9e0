// Runs the cases in rounds. Within a case and a round the proxies are measured one right after the
// other, in an order that moves on from round to round, so that a machine that changes its speed
// favours none of them and a round's figures may be compared.

import type { Case, Times } from './cases.ts'
import type { Found, Kind } from './load/job.ts'
import type { ProxyName } from './proxies.ts'
import { ratesOf, rotated, type Sample } from './results.ts'
import type { Session } from './session.ts'

export type Plan = {
  cases: readonly Case[]
  proxies: readonly ProxyName[]
  times: Times
  /** No round begins later, by performance.now(). */
  beginBefore: number
  say(what: string): void
}

const CHECK_MS = 30
const CHECK_CONNECTIONS = 4
const CHECKS: readonly Kind[] = ['get', 'post', 'post-chunked', 'new', 'socket']
const JIT_MS_SHARE = 3

export async function runRounds(session: Session, plan: Plan): Promise<Sample[]> {
  const { cases, proxies, times } = plan
  await check(session, plan)
  const samples: Sample[] = []
  const plain = cases.filter(({ isRate }) => !isRate)
  for (let round = 0; round < times.rounds; round++) {
    if (performance.now() > plan.beginBefore) break
    plan.say(`round ${round + 1} of ${times.rounds}`)
    for (const each of plain) {
      if (round >= roundsOf(each, times)) continue
      for (const proxy of rotated(proxies, round)) {
        samples.push(await sampleOf(session, plan, { each, proxy, round }))
      }
    }
  }
  for (const each of cases.filter(({ isRate }) => isRate)) {
    const rates = ratesOf(samples, proxies)
    for (let round = 0; round < roundsOf(each, times); round++) {
      plan.say(`${each.title}, round ${round + 1}`)
      for (const proxy of rotated(proxies, round)) {
        const rate = rates.get(proxy) as number
        samples.push(await sampleOf(session, plan, { each, proxy, round, rate }))
      }
    }
  }
  return samples
}

/** Every way of speaking, right through every proxy, before anything is measured. */
async function check(session: Session, { proxies, cases, times, say }: Plan): Promise<void> {
  const logs = [...new Set(cases.map(({ accessLog }) => accessLog))]
  for (const name of proxies) {
    say(`${name}: all right?`)
    for (const accessLog of logs) {
      const proxy = session.proxyOf(name, accessLog)
      for (const kind of CHECKS) {
        const job = { kind, bytes: 100, connections: CHECK_CONNECTIONS, warmUpMs: 0, ms: CHECK_MS }
        refuse(await session.run(job, proxy), `${name}, ${kind}`)
      }
      // Until its code is compiled, a program is measured as slower than it is.
      const ms = times.ms * JIT_MS_SHARE
      const job = { kind: 'get', bytes: 100, connections: 64, warmUpMs: 0, ms } as const
      if (name === 'ours' || name === 'former') await session.run(job, proxy)
    }
  }
}

function refuse({ requests, failures, failed }: Found, where: string): void {
  if (failed === 0 && requests > 0) return
  const kinds = Object.entries(failures).map(([why, count]) => `${count} × ${why}`)
  throw new Error(`${where}: ${requests} right answers, ${failed} failures: ${kinds.join(', ')}`)
}

async function sampleOf(
  session: Session,
  { times }: Plan,
  what: { each: Case; proxy: ProxyName; round: number; rate?: number },
): Promise<Sample> {
  const { each, proxy, round, rate } = what
  const { kind, bytes, connections, accessLog } = each
  const job = { kind, bytes, connections, warmUpMs: times.warmUpMs, ms: times.ms }
  const withRate = rate === undefined ? {} : { rate }
  const found = await session.run({ ...job, ...withRate }, session.proxyOf(proxy, accessLog))
  return { ...found, ...withRate, case: each.name, proxy, round }
}

function roundsOf({ hasAim }: Case, { rounds, roundsWithoutAim }: Times): number {
  return hasAim ? rounds : roundsWithoutAim
}
