// tucano up: a whole cluster on this machine, with a service on it, for as long as the command
// runs. What it keeps lies in one folder, and the next call goes on from there.

import { join, resolve } from 'node:path'
import type { NodesAnswer, ServiceDetail } from '#cli/answers.ts'
import { servicePath } from '#cli/change-service.ts'
import { createClient } from '#cli/client.io.ts'
import { type Client, orUndefined } from '#cli/client.ts'
import { type Command, type Context, Interrupted } from '#cli/command.ts'
import { deployConfig } from '#cli/deploy.ts'
import { tellFailure } from '#cli/deploy-failure.ts'
import { eventLine } from '#cli/event-line.ts'
import { follow, isPassing, pause } from '#cli/follow.ts'
import { createInstanceTeller, printInstances } from '#cli/instances.ts'
import { eventsAfter, lastCursor } from '#cli/news.ts'
import { countOf } from '#cli/numbers.ts'
import { curlLine, exportLine } from '#cli/reach.ts'
import { findServiceFile } from '#cli/service-file.ts'
import { instanceState, shortIds } from '#cli/words.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import { readServiceFile, readToken } from '#shared/read-config.io.ts'
import { type Cluster, createCluster, stopLeftovers, stopStrays, writeFiles } from './cluster.ts'
import { choosePorts } from './free-ports.io.ts'
import { openStateFolder, type StateFolder } from './state-folder.io.ts'
import { balancerUrl, controllerUrl, type Ports, WORKERS_MAX } from './up-files.ts'

const WORKERS_DEFAULT = 3
const SERVICE_DEFAULT = join(import.meta.dirname, '..', '..', 'services', 'number-fact')
const LOOK_MS = 1_000
const ATTEMPTS_MAX = 3
const HEALTHY_MS = 180_000
const FOLLOW_MS = 30_000

export const up: Command = {
  name: 'up',
  summary: 'A cluster on this machine, with a service on it',
  words: '',
  options: [
    { name: 'workers', value: 'N', summary: `number of agents (default ${WORKERS_DEFAULT})` },
    { name: 'service', value: 'FOLDER', summary: 'what to deploy (default: number-fact)' },
    { name: 'state', value: 'FOLDER', summary: 'where the state is kept (default: .tucano)' },
    { name: 'port', value: 'PORT', summary: 'port of the balancer' },
    { name: 'fresh', summary: 'forget the state first' },
  ],
  details: `Starts one controller and the agents on 127.0.0.1, and runs until Ctrl-C, which
stops all of it. The next call in the same folder continues with the same state
and ports. In that folder and below it the other commands find this cluster by
themselves.`,
  async run(context) {
    const { screen, flags } = context
    const wanted = wantedOf(context)
    const file = await findServiceFile(context.folder, flags.text('service') ?? SERVICE_DEFAULT)
    const service = await readServiceFile(file)
    const path = resolve(context.folder, flags.text('state') ?? '.tucano')
    using folder = await openStateFolder(path, {
      fresh: flags.has('fresh'),
      beforeForgetting: (at) => stopLeftovers(screen, at),
    })
    await stopLeftovers(screen, folder.path)
    screen.note(`${folder.isOld ? 'continuing with' : 'keeping'} the state in ${folder.path}`)
    await runOnFreePorts(context, { folder, service, wanted })
    screen.note('all is stopped; tucano up continues with this state')
    return 0
  },
}

function wantedOf({ flags }: Context): { workers: number; balancer: number | undefined } {
  const workers = countOf(flags.text('workers') ?? String(WORKERS_DEFAULT), '--workers')
  if (workers < 1 || workers > WORKERS_MAX) {
    throw new TucanoError('usage', `--workers is 1 to ${WORKERS_MAX}, not ${workers}`)
  }
  const port = flags.text('port')
  const balancer = port === undefined ? undefined : countOf(port, '--port')
  if (balancer !== undefined && (balancer < 1_024 || balancer > 65_535)) {
    throw new TucanoError('usage', `--port is 1024 to 65535, not ${balancer}`)
  }
  return { workers, balancer }
}

type Given = {
  folder: StateFolder
  service: ServiceConfig
  wanted: { workers: number; balancer: number | undefined }
}

/** Between the look at a port and its use another program may take it: then others are chosen. */
async function runOnFreePorts(context: Context, given: Given): Promise<void> {
  const { screen } = context
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runUntilInterrupted(context, given)
    } catch (error) {
      const isPort = error instanceof TucanoError && error.code === 'port_taken'
      if (!isPort || attempt === ATTEMPTS_MAX) throw error
      screen.note('a port was taken by another program just now; choosing again')
    }
  }
}

/** Whatever ends it, nothing runs any more when it returns. */
async function runUntilInterrupted(context: Context, given: Given): Promise<void> {
  const { screen, signal } = context
  const { folder, service, wanted } = given
  const { ports, changes } = await choosePorts({ kept: await folder.readPorts(), ...wanted })
  for (const change of changes) screen.note(change)
  await stopStrays(folder.path, ports)
  await writeFiles(folder, ports)
  const cluster = createCluster({ screen, folder, ports, signal })
  try {
    await Promise.race([live(context, { cluster, folder, ports, service }), cluster.broken])
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
  } finally {
    screen.status('')
    await cluster.stop()
  }
}

type Parts = { cluster: Cluster; folder: StateFolder; ports: Ports; service: ServiceConfig }

/** Ends only by an error: Interrupted, or what makes the cluster impossible. */
async function live(context: Context, parts: Parts): Promise<never> {
  const { screen, signal } = context
  const { cluster, folder, ports, service } = parts
  screen.note(`starting the controller on ${controllerUrl(ports)}`)
  await cluster.startController()
  if (signal.aborted) throw new Interrupted()
  const token = await readToken({ file: join(folder.path, 'admin-token') })
  const client = createClient({ url: controllerUrl(ports), token, signal })
  screen.note(`starting ${ports.agents.length} agents`)
  cluster.startAgents()
  await untilAlive(context, client)
  cluster.keepRunning()
  await run(context, client, service)
  const cursor = await lastCursor(client)
  await report(context, client, { ports, service: service.name, folder: folder.path })
  return watch(context, client, cursor)
}

async function untilAlive({ screen, signal }: Context, client: Client): Promise<void> {
  for (;;) {
    const { nodes } = await client.get<NodesAnswer>('/v1/nodes')
    const alive = nodes.filter(({ state }) => state === 'alive').length
    screen.status(`${alive} of ${nodes.length} workers are alive`)
    if (alive === nodes.length) break
    await pause(LOOK_MS / 4, signal)
  }
  screen.status('')
  screen.note('all workers are alive')
}

/** Deploys the service where it is not configured; waits until all of it is healthy. */
async function run(context: Context, client: Client, service: ServiceConfig): Promise<void> {
  const { screen } = context
  const { name } = service
  const detail = await orUndefined(client.get<ServiceDetail>(servicePath(name)))
  if (detail === undefined) {
    screen.note(`deploying ${name}`)
    const { deployment_id: id } = await deployConfig(context, client, service)
    const outcome = await follow(context, client, { id, service: name, timeoutMs: HEALTHY_MS })
    const isBad = outcome.deployment?.state !== 'complete_running'
    if (outcome.deployment !== undefined && isBad && !outcome.isTimedOut) {
      tellFailure(screen, outcome.deployment, outcome.detail)
    }
    return
  }
  if (detail.service.desired === 'running') await untilHealthy(context, client, name)
  else screen.note(`${name} is stopped; start it: tucano start ${name}`)
}

async function untilHealthy(
  { screen, signal }: Context,
  client: Client,
  name: string,
): Promise<void> {
  const tell = createInstanceTeller()
  const ends = performance.now() + HEALTHY_MS
  screen.note(`${name} is deployed already; waiting until it is healthy`)
  for (;;) {
    const detail = await orUndefined(client.get<ServiceDetail>(servicePath(name)))
    if (detail === undefined) return
    const { summary, instances } = detail
    const short = shortIds(instances.map(({ id }) => id))
    for (const instance of tell(instances)) {
      screen.note(`  ${instance.node}  ${short(instance.id)}  ${instanceState(instance).text}`)
    }
    screen.status(`${name}: ${summary.running} of ${summary.wanted} healthy`)
    if (summary.running >= summary.wanted) break
    if (performance.now() >= ends) {
      screen.note(`${name} is not healthy after ${durationText(HEALTHY_MS)}`)
      break
    }
    await pause(LOOK_MS / 4, signal)
  }
  screen.status('')
}

async function report(
  { screen, now }: Context,
  client: Client,
  given: { ports: Ports; service: string; folder: string },
): Promise<void> {
  const { ports, service, folder } = given
  const detail = await orUndefined(client.get<ServiceDetail>(servicePath(service)))
  const live = (detail?.instances ?? []).filter(({ state }) => state === 'started')
  if (screen.json) {
    const urls = { controller: controllerUrl(ports), balancer: balancerUrl(ports) }
    screen.objectLine({ ...urls, folder, instances: live })
    return
  }
  if (live.length > 0) printInstances(screen, live, now())
  screen.line()
  const path = service === 'number-fact' ? '/factors?number=12345' : '/'
  if (detail?.service.config.public === true) {
    screen.line(`try:   ${curlLine({ name: service }, balancerUrl(ports), path)}`)
  }
  screen.line(`look:  tucano ps, tucano nodes, tucano logs ${service} -f (in another terminal)`)
  screen.line('elsewhere, the other terminal needs:')
  screen.line(`  ${exportLine(controllerUrl(ports), join(folder, 'admin-token'))}`)
  screen.line('stop:  Ctrl-C')
}

/** State changes as plain lines, until the end. A controller that restarts is waited for. */
async function watch({ screen, signal }: Context, client: Client, from: number): Promise<never> {
  let cursor = from
  for (;;) {
    try {
      const page = await eventsAfter(client, cursor, { waitMs: FOLLOW_MS })
      for (const event of page.events) {
        if (screen.json) screen.objectLine(event)
        else screen.line(eventLine(event, { wide: screen.wide, paint: screen.paint }))
      }
      cursor = page.cursor
    } catch (error) {
      if (!isPassing(error)) throw error
      await pause(LOOK_MS, signal)
    }
  }
}
