// tucano_ctld: reads its configuration, opens its edges and joins them. Wiring and nothing else.

import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { machineClock } from '#shared/clock.io.ts'
import { parseDaemonArgs } from '#shared/command-line.ts'
import type { ControllerConfig } from '#shared/configuration.ts'
import { runDaemon, stopOnSignal, VERSION } from '#shared/daemon.io.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { closeDoor } from '#shared/http-door.io.ts'
import { machineDice, machineIds } from '#shared/ids.io.ts'
import { createLog } from '#shared/log.io.ts'
import { portTaken } from '#shared/port-holder.io.ts'
import type { Log, LogLevel } from '#shared/ports.ts'
import { readSecret, readText, readTopologyText } from '#shared/read-config.io.ts'
import { controllerOf } from '#shared/topology.ts'
import { createAgentClient } from './agent-manager/agent-client.io.ts'
import { createMachines } from './agent-manager/machines.io.ts'
import { createApi } from './api/api.io.ts'
import { balancerSettings, createDataPlaneClient } from './balancer/data-plane-client.io.ts'
import { watchConfigFile, writeConfigFile } from './config-manager/config-file.io.ts'
import { readOrMakeToken } from './config-manager/tokens.io.ts'
import { createCtld } from './ctld.ts'
import { openStore } from './discovery/store.io.ts'
import { openImageStore } from './images/image-store.io.ts'
import { createMailer, createSilentMailer } from './notifier/mailer.io.ts'
import type { Mailer } from './ports.ts'
import { openSecretsIn } from './secrets/open-secrets.io.ts'
import type { Ctld } from './snapshot.ts'

const HELP = `tucano_ctld: the controller of a Tucano cluster

Usage: tucano_ctld --config topology.yaml [options]

  -c, --config FILE     the controller's configuration (see topology.example.yaml)
      --check           check the configuration, say all that is wrong, and exit
      --allow-nonlocal  start although the controller's ip is not one of this machine
      --adopt-balancer  never start tucano_balancer: wait for the one that its own unit runs
      --log-level LEVEL debug, info (default), warn, error or silent
  -h, --help            this text
  -V, --version         the version

Exit: 0 stopped in order or checked, 1 failed, 2 wrong usage or configuration.
`

/** How long requests to the API may take to end when the controller stops. */
const API_CLOSE_MS = 5_000
/** Between two looks for images that no service uses any more. */
const PRUNE_MS = 600_000

await runDaemon('tucano_ctld', main)

async function main(): Promise<void> {
  const options = parseDaemonArgs(process.argv.slice(2), 'tucano_ctld', [
    'allow-nonlocal',
    'adopt-balancer',
  ])
  if (options.help || options.version) {
    process.stdout.write(options.help ? HELP : `${VERSION}\n`)
    return
  }
  const file = options.config ?? ''
  const text = await readText(file)
  const config = await readTopologyText(text, file)
  if (!options.switches.has('allow-nonlocal')) refuseForeignAddress(config)
  if (options.check) {
    const workers = config.topology.length - 1
    process.stdout.write(`${file} is valid: 1 controller, ${workers} workers\n`)
    return
  }
  const log = createLog('tucano_ctld', options.logLevel)
  const mayStartBalancer = !options.switches.has('adopt-balancer')
  await serve({ file, text, config, log, logLevel: options.logLevel, mayStartBalancer })
}

type Given = {
  file: string
  text: string
  config: ControllerConfig
  log: Log
  logLevel: LogLevel
  mayStartBalancer: boolean
}
type Edges = Awaited<ReturnType<typeof openEdges>>

async function serve(given: Given): Promise<void> {
  const { file, config, log } = given
  await using opened = new AsyncDisposableStack()
  const edges = await openEdges(given, opened)
  const { images, dataPlane, admin, agent } = edges
  const ctld = ctldOn(edges, given)
  let isStarted = false
  const api = createApi({
    ctld,
    images,
    adminToken: admin.token,
    agentToken: agent.token,
    log,
    version: VERSION,
    counters: () => dataPlane.counters(),
    inForce: (ms) => dataPlane.inForce(ms),
    isStarted: () => isStarted,
  })
  try {
    // It is there before the first plan: it says which instances still have requests under way.
    await dataPlane.connect()
    await ctld.start()
    isStarted = true
    await named(config.balancer, 'balancer', () => dataPlane.opened())
    await named(config.api, 'api', () =>
      api.listen({ host: config.api.host, port: config.api.port }),
    )
  } catch (error) {
    dataPlane.abandon()
    throw error
  }
  opened.use(watchFile(file, ctld, log))
  opened.use(pruneImages(ctld, images, log))
  for (const [name, { isNew }] of Object.entries({ admin, agent })) {
    if (isNew) log.info({ role: name }, 'made a new token file')
  }
  const address = { host: config.api.host, port: config.api.port, balancer: config.balancer.port }
  log.info({ ...address, version: VERSION, pid: process.pid }, 'controller started')

  const kept = opened.move()
  stopOnSignal(async () => {
    log.info({}, 'controller stops; programs, agents and the balancer run on')
    dataPlane.close()
    await closeDoor(api, API_CLOSE_MS)
    await ctld.stop()
    await kept.disposeAsync()
  })
}

async function openEdges(given: Given, opened: AsyncDisposableStack) {
  const { config, log, logLevel, mayStartBalancer } = given
  const store = await openStore({ folder: config.store.folder })
  opened.defer(() => store.close())
  return {
    store,
    admin: await readOrMakeToken(config.api.admin_token),
    agent: await readOrMakeToken(config.api.agent_token),
    images: await openImageStore({ folder: join(config.store.folder, 'images'), log }),
    mailer: await createChangingMailer(config, log),
    secrets: await openSecretsIn(config.store.folder),
    dataPlane: createDataPlaneClient({
      folder: join(config.store.folder, 'balancer'),
      settings: balancerSettings(config),
      mayStart: mayStartBalancer,
      clock: machineClock,
      log,
      logLevel,
      version: VERSION,
    }),
  }
}

function ctldOn(edges: Edges, { file, text, config, log }: Given): Ctld {
  const { store, agent, mailer, dataPlane, secrets } = edges
  return createCtld(
    {
      clock: machineClock,
      ids: machineIds,
      dice: machineDice,
      log,
      store: { ...store, close: async () => {} },
      agents: createAgentClient({ agentToken: agent.token }),
      machines: createMachines(),
      dataPlane,
      mailer,
      secrets,
    },
    {
      text,
      config,
      parse: (changed) => readTopologyText(changed, file),
      write: (changed) => writeConfigFile(file, changed),
      applied(changed) {
        mailer.change(changed)
        dataPlane.change(balancerSettings(changed))
      },
      onBug(error) {
        log.error({ error: error instanceof Error ? error.stack : error }, 'internal error')
        process.exit(1)
      },
    },
  )
}

/** Q14: a controller that does not have its own address would tell agents a wrong one. */
function refuseForeignAddress(config: ControllerConfig): void {
  const { name, ip } = controllerOf(config)
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const isLoopback = ip.startsWith('127.') || ip === '::1'
  if (isLoopback || own.some(({ address }) => address === ip)) return
  throw new TucanoError(
    'invalid_config',
    `the controller ${name} has ip ${ip}, which is not an address of this machine ` +
      `(it has ${own.map(({ address }) => address).join(', ')}); mend the topology, start it on ` +
      'the right machine, or pass --allow-nonlocal',
  )
}

async function named<T>(
  address: { host: string; port: number },
  key: string,
  listen: () => Promise<T>,
): Promise<T> {
  try {
    return await listen()
  } catch (cause) {
    if (cause instanceof TucanoError) throw cause
    throw await portTaken(`${key}.port`, address, cause)
  }
}

/** The mailer of the configuration in force. */
async function createChangingMailer(
  config: ControllerConfig,
  log: Log,
): Promise<Mailer & { change(config: ControllerConfig): void }> {
  let current = await mailerOf(config, log)
  return {
    send: (mail) => current.send(mail),
    change(changed) {
      mailerOf(changed, log).then(
        (next) => {
          current = next
        },
        (error: unknown) => {
          log.error({ error: messageOf(error) }, 'the new mail settings cannot be used')
        },
      )
    },
  }
}

async function mailerOf({ alerts }: ControllerConfig, log: Log): Promise<Mailer> {
  const { smtp, from } = alerts
  if (smtp === undefined) return createSilentMailer(log)
  const password = smtp.password === undefined ? undefined : await readSecret(smtp.password)
  const ca = smtp.ca_file === undefined ? undefined : await readFile(smtp.ca_file, 'utf8')
  return createMailer({ smtp, password, ca, from, log })
}

function watchFile(file: string, ctld: Ctld, log: Log): Disposable {
  return watchConfigFile(
    file,
    (text) => {
      const { version, text: inForce } = ctld.snapshot().config
      if (text === inForce) return
      ctld.submit({ kind: 'put_config', version, text, by: 'file' }).catch((error: unknown) => {
        const problems = error instanceof TucanoError ? error.problems : []
        log.error(
          { file, error: messageOf(error), problems },
          'the changed configuration was not taken; the last good one stays in force',
        )
      })
    },
    (error) => log.warn({ file, error: messageOf(error) }, 'cannot read the configuration'),
  )
}

function pruneImages(
  ctld: Ctld,
  images: Awaited<ReturnType<typeof openImageStore>>,
  log: Log,
): Disposable {
  const timer = setInterval(() => {
    const inUse = ctld
      .snapshot()
      .configured_services.flatMap(({ revisions }) =>
        revisions.flatMap(({ config }) => config.image.digest ?? []),
      )
    images.prune(new Set(inUse)).catch((error: unknown) => {
      log.warn({ error: messageOf(error) }, 'old images could not be deleted')
    })
  }, PRUNE_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
