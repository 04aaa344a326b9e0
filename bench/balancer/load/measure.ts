// Runs one measurement: a crowd of connections that asks as fast as it is answered, or by the
// clock. Processor time is read in the same breath as the count of answers, before and after.

import { setTimeout as sleep } from 'node:timers/promises'
import { processorUs } from '#bench/balancer/process-cpu.ts'
import { createLatencies } from '#bench/latencies.ts'
import type { Client } from './client.ts'
import { createCrowd } from './crowd.ts'
import { dialogueOf } from './dialogue.ts'
import type { Found, Job } from './job.ts'

/** A proxy that is so far behind cannot hold the rate. */
const BACKLOG_SECONDS_MAX = 2

export async function measure(job: Job): Promise<Found> {
  return job.rate === undefined ? measureClosed(job) : measureOpen(job, job.rate)
}

async function measureClosed(job: Job): Promise<Found> {
  let answers = 0
  let isGoing = false
  const idle: Client[] = []
  const crowd = createCrowd({
    ...job,
    dialogue: dialogueOf(job),
    free(client) {
      if (isGoing) crowd.send(client)
      else idle.push(client)
    },
    answered: () => {
      answers += 1
    },
  })
  try {
    await crowd.ready
    isGoing = true
    for (const client of idle.splice(0)) crowd.send(client)
    await sleep(job.warmUpMs)
    const before = stateOf(job, answers)
    await sleep(job.ms)
    const after = stateOf(job, answers)
    await crowd.quiet()
    return foundBetween(before, after, crowd.failures())
  } finally {
    crowd.close()
  }
}

async function measureOpen(job: Job, rate: number): Promise<Found> {
  const latencies = createLatencies()
  const free: Client[] = []
  const dueOf = new Map<Client, number>()
  const gapMs = 1_000 / rate
  let isGoing = false
  let begin = 0
  let sent = 0
  let answers = 0
  const crowd = createCrowd({
    ...job,
    dialogue: dialogueOf(job),
    free(client) {
      free.push(client)
      if (isGoing) sendDue()
    },
    answered(client) {
      const due = dueOf.get(client) as number
      if (due < begin + job.warmUpMs) return
      answers += 1
      latencies.add(performance.now() - due)
    },
  })
  const sendDue = () => {
    const now = performance.now()
    for (let due = begin + sent * gapMs; due <= now; due = begin + sent * gapMs) {
      const client = free.pop()
      if (client === undefined) return
      sent += 1
      dueOf.set(client, due)
      crowd.send(client)
    }
  }
  // Timers are a millisecond wide: between two requests the loop turns instead of sleeping.
  const turn = () => {
    if (!isGoing) return
    sendDue()
    setImmediate(turn)
  }
  try {
    await crowd.ready
    begin = performance.now()
    isGoing = true
    turn()
    await sleep(job.warmUpMs)
    const before = stateOf(job, answers)
    await sleep(job.ms)
    isGoing = false
    const after = stateOf(job, answers)
    const behind = (performance.now() - begin) / 1_000 - sent / rate
    await crowd.quiet()
    const failures = crowd.failures()
    if (behind > BACKLOG_SECONDS_MAX) failures.set(`${behind} s behind the rate`, 1)
    return { ...foundBetween(before, after, failures), latencies: latencies.summary() }
  } finally {
    isGoing = false
    crowd.close()
  }
}

type State = { at: number; cpuUs: number; answers: number }

function stateOf({ pid }: Job, answers: number): State {
  return { at: performance.now(), cpuUs: processorUs(pid), answers }
}

function foundBetween(before: State, after: State, failures: Map<string, number>): Found {
  return {
    requests: after.answers - before.answers,
    seconds: (after.at - before.at) / 1_000,
    cpuUs: after.cpuUs - before.cpuUs,
    failed: [...failures.values()].reduce((sum, count) => sum + count, 0),
    failures: Object.fromEntries([...failures].sort()),
  }
}
