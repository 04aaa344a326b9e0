// Chooses the ports of a cluster on this machine: those it had, else the usual ones, else any
// that is free. Never one of the instances' range.

import { createServer } from 'node:net'
import { HOST, type Ports } from './up-files.ts'

const USUAL = { api: 7070, balancer: 8080, agents: 7071 }
const TRIES_MAX = 100

export type Choice = {
  ports: Ports
  /** Sentences about kept ports that are in use by now. */
  changes: string[]
}

export async function choosePorts(wanted: {
  kept: Ports | undefined
  workers: number
  balancer: number | undefined
}): Promise<Choice> {
  const { kept, workers, balancer } = wanted
  const taken = new Set<number>()
  const changes: string[] = []
  const choose = async (what: string, was: number | undefined, usual: number) => {
    for (const port of [was, usual]) {
      if (port === undefined || taken.has(port)) continue
      if (await isFree(port)) {
        taken.add(port)
        if (was !== undefined && port !== was)
          changes.push(`${what}: port ${was} is in use now, ${port} is taken instead`)
        return port
      }
    }
    const port = await anyFree(taken)
    taken.add(port)
    if (was !== undefined)
      changes.push(`${what}: port ${was} is in use now, ${port} is taken instead`)
    return port
  }
  const ports: Ports = {
    api: await choose('controller', kept?.api, USUAL.api),
    balancer: await choose('balancer', balancer ?? kept?.balancer, balancer ?? USUAL.balancer),
    agents: [],
  }
  for (let index = 0; index < workers; index += 1) {
    const was = kept?.agents[index]
    ports.agents.push(await choose(`agent w${index + 1}`, was, USUAL.agents + index))
  }
  return { ports, changes }
}

async function anyFree(taken: ReadonlySet<number>): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = await listenOnce(0)
    const isOfInstances = port !== undefined && port >= 20_000 && port <= 32_000
    if (port !== undefined && !isOfInstances && !taken.has(port)) return port
  }
  throw new Error('the system has no free port')
}

async function isFree(port: number): Promise<boolean> {
  return (await listenOnce(port)) !== undefined
}

/** The port it could listen on, which is closed again; undefined: it could not. */
function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ port, host: HOST, exclusive: true }, () => {
      const address = server.address()
      const chosen = typeof address === 'object' && address !== null ? address.port : undefined
      server.close(() => resolve(chosen))
    })
  })
}
