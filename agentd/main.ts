// tucano_agentd: reads its configuration, opens its edges and joins them. Wiring and nothing else.

import { join } from 'node:path'
import { machineClock } from '#shared/clock.io.ts'
import { parseDaemonArgs } from '#shared/command-line.ts'
import type { AgentConfig } from '#shared/configuration.ts'
import { runDaemon, stopOnSignal, VERSION } from '#shared/daemon.io.ts'
import { durationMs } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import { closeDoor } from '#shared/http-door.io.ts'
import { machineDice, machineIds } from '#shared/ids.io.ts'
import { lockFolder } from '#shared/lock.io.ts'
import { createLog } from '#shared/log.io.ts'
import type { Log } from '#shared/ports.ts'
import { readAgentFile, readToken } from '#shared/read-config.io.ts'
import { createAgentd } from './agentd.ts'
import { createAgentApi } from './api/server.io.ts'
import { createControllerClient, reportTimeoutMs } from './controller-client.io.ts'
import { openImageEdges } from './images/image-edges.io.ts'
import { createImages } from './images/images.ts'
import { openBox } from './isolation/box.io.ts'
import { createSensors } from './monitor/sensors.io.ts'
import { openNotebook } from './notebook.io.ts'
import { agentTagOf } from './runner/launch.io.ts'
import { createPrograms } from './runner/programs.io.ts'
import { findMemoryFolder, openVault } from './secrets/memory-folder.io.ts'

/** How long requests in flight may take to end when the agent stops. */
const CLOSE_MS = 1_000
const STOP_PROGRAMS = 'stop-programs-on-exit'

const HELP = `tucano_agentd: runs on each worker of a Tucano cluster

Usage: tucano_agentd --config agent.yaml [options]

  -c, --config FILE     the agent's configuration (see agent.example.yaml)
      --check           check the configuration, say all that is wrong, and exit
      --${STOP_PROGRAMS}  stop all programs on SIGTERM and SIGINT; without it they run on
      --log-level LEVEL debug, info (default), warn, error or silent
  -h, --help            this text
  -V, --version         the version

Exit: 0 stopped in order or checked, 1 failed, 2 wrong usage or configuration.
`

await runDaemon('tucano_agentd', main)

async function main(): Promise<void> {
  const options = parseDaemonArgs(process.argv.slice(2), 'tucano_agentd', [STOP_PROGRAMS])
  if (options.help || options.version) {
    process.stdout.write(options.help ? HELP : `${VERSION}\n`)
    return
  }
  const file = options.config ?? ''
  const config = await readAgentFile(file)
  const token = await readToken(config.token)
  if (options.check) {
    process.stdout.write(`${file} is valid: worker ${config.name} of ${config.controller}\n`)
    return
  }
  const log = createLog('tucano_agentd', options.logLevel)
  await serve({ config, token, log, stopsPrograms: options.switches.has(STOP_PROGRAMS) })
}

async function serve(given: {
  config: AgentConfig
  token: string
  log: Log
  stopsPrograms: boolean
}): Promise<void> {
  const { config, token, log, stopsPrograms } = given
  const { controller, name, host, port, data_folder: dataFolder } = config
  const publishIntervalMs = durationMs(config.publish_interval)
  const timeoutMs = reportTimeoutMs(publishIntervalMs)
  await using opened = new AsyncDisposableStack()
  opened.use(await lockFolder({ folder: dataFolder, daemon: 'agent' }, machineClock))
  const notebook = await openNotebook(join(dataFolder, 'notebook'))
  const memory = await findMemoryFolder({ dataFolder, tag: agentTagOf(dataFolder) })
  if (!memory.isMemory) log.warn({ folder: memory.path }, 'no shared memory for secrets')
  const secretsFolder = memory.path
  const box = opened.use(await openBox({ dataFolder, secretsFolder, log, ...config.isolation }))
  const programs = opened.use(createPrograms({ dataFolder, host, log, box, secretsFolder }))
  const edges = await openImageEdges({
    folder: join(dataFolder, 'images'),
    controller,
    token: () => token,
    box,
  })
  const images = opened.use(createImages({ clock: machineClock, log, ...edges }))
  const agentd = createAgentd(
    {
      clock: machineClock,
      ids: machineIds,
      dice: machineDice,
      log,
      controller: createControllerClient({ controller, name, token, timeoutMs }),
      notebook,
      programs,
      images,
      sensors: createSensors(dataFolder),
      vault: openVault(memory),
    },
    {
      name,
      version: VERSION,
      publishIntervalMs,
      portRange: config.port_range,
    },
    (error) => {
      log.error({ error: error instanceof Error ? error.stack : error }, 'internal error')
      process.exit(1)
    },
  )
  const api = createAgentApi({
    agentd,
    token,
    log,
    logPath: programs.logPath,
    buildLog: images.buildLog,
  })
  // First the port: an agent that cannot be reached must not start a program.
  await listen(api, host, port)
  await agentd.start()
  log.info({ host, port, pid: process.pid }, 'agent listens')

  const kept = opened.move()
  stopOnSignal(async () => {
    if (stopsPrograms) await agentd.stopPrograms()
    await agentd.stop()
    await closeDoor(api, CLOSE_MS)
    await kept.disposeAsync()
  })
}

async function listen(
  api: ReturnType<typeof createAgentApi>,
  host: string,
  port: number,
): Promise<void> {
  try {
    await api.listen({ host, port })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
    throw new TucanoError(
      'port_taken',
      `port ${port} on ${host} is in use by another program (see: ss -ltnp 'sport = :${port}'); ` +
        "stop it, or change `port` here and agent_port in the controller's topology",
      { cause },
    )
  }
}
