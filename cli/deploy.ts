// tucano deploy: brings a service's program and configuration to the controller and waits until
// it runs (M05, M21, Q12).

import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { ServiceConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import { readServiceFile } from '#shared/read-config.io.ts'
import { withDigest } from '#shared/service-config.ts'
import { CONCURRENCY_MAX } from '#shared/service-schema.ts'
import type { AcceptedAnswer } from './answers.ts'
import type { Client } from './client.ts'
import type { Command, Context } from './command.ts'
import { tellFailure } from './deploy-failure.ts'
import { follow, stillGoesOn, timeoutOf, waitOptions } from './follow.ts'
import { printInstances } from './instances.ts'
import { countOf } from './numbers.ts'
import { reachOf } from './reach.ts'
import { bringImage } from './upload.ts'

export const SERVICE_FILE = 'service.yaml'

export const deploy: Command = {
  name: 'deploy',
  summary: 'Deploy a service and wait until it runs',
  words: '[FOLDER|FILE]',
  options: [
    ...waitOptions,
    { name: 'concurrency', value: 'N', summary: 'instances, instead of what the file says' },
  ],
  details: `FOLDER holds a service.yaml (default: this folder); FILE is one. Its image.path
is packed without what .tucanoignore names, and uploaded unless the controller
has it already.`,
  async run(context) {
    const timeoutMs = timeoutOf(context)
    const config = await readConfig(context)
    const client = await context.client()
    const accepted = await deployConfig(context, client, config)
    if (context.flags.has('detach')) return detached(context, accepted, config.name)
    return finish(context, client, { accepted, config, timeoutMs })
  },
}

/** Uploads the image and hands in the configuration. */
export async function deployConfig(
  context: Pick<Context, 'screen'>,
  client: Client,
  config: ServiceConfig,
): Promise<AcceptedAnswer> {
  const digest = await bringImage(context, client, config.image)
  return client.send<AcceptedAnswer>('POST', '/v1/services', { config: withDigest(config, digest) })
}

/** `--detach`: the id, by which it can be followed. */
export function detached(
  { screen }: Pick<Context, 'screen'>,
  accepted: AcceptedAnswer,
  service: string,
): number {
  if (screen.json) {
    screen.object(accepted)
    return 0
  }
  screen.line(accepted.deployment_id)
  screen.note(`accepted; see: tucano show ${service}`)
  return 0
}

export async function findServiceFile(folder: string, word: string): Promise<string> {
  const path = resolve(folder, word)
  const found = await stat(path).catch(() => {
    throw new TucanoError('usage', `there is no folder or file ${path}`)
  })
  if (!found.isDirectory()) return path
  const file = join(path, SERVICE_FILE)
  await stat(file).catch(() => {
    throw new TucanoError('usage', `there is no ${SERVICE_FILE} in ${path}`)
  })
  return file
}

async function readConfig(context: Context): Promise<ServiceConfig> {
  const concurrency = context.flags.text('concurrency')
  const count =
    concurrency === undefined ? undefined : countOf(concurrency, '--concurrency', CONCURRENCY_MAX)
  const file = await findServiceFile(context.folder, context.words[0] ?? '.')
  const config = await readServiceFile(file)
  await requireProgram(file, config)
  return count === undefined ? config : { ...config, concurrency: count }
}

/** Said with the key of the file, where it is mended. */
async function requireProgram(file: string, { image }: ServiceConfig): Promise<void> {
  for (const key of ['path', 'archive'] as const) {
    const place = image[key]
    if (place === undefined) continue
    // Why it cannot be looked at is said by the same words: it is not there for this user.
    const found = await stat(place).catch(() => undefined)
    const isIt = key === 'path' ? found?.isDirectory() : found?.isFile()
    if (isIt === true) continue
    const what = key === 'path' ? 'folder' : 'file'
    throw new TucanoError('invalid_config', `${file}: image.${key}: there is no ${what} ${place}`)
  }
}

async function finish(
  context: Context,
  client: Client,
  given: { accepted: AcceptedAnswer; config: ServiceConfig; timeoutMs: number },
): Promise<number> {
  const { accepted, config, timeoutMs } = given
  const { screen } = context
  screen.note(`${config.name}: deployment ${accepted.deployment_id}`)
  const wanted = { id: accepted.deployment_id, service: config.name, timeoutMs }
  const { deployment, detail, isTimedOut } = await follow(context, client, wanted)
  if (isTimedOut) throw stillGoesOn(config.name, timeoutMs, detail)
  if (deployment === undefined) {
    throw new TucanoError('not_found', `the controller has forgotten the deployment ${wanted.id}`)
  }
  const isDone = deployment.state === 'complete_running'
  if (screen.json) screen.object(deployment)
  if (!isDone) {
    tellFailure(screen, deployment, detail)
    return 1
  }
  if (screen.json || detail === undefined) return 0
  screen.note(`${config.name} runs: ${deployment.why}`)
  const live = detail.instances.filter(({ state }) => state === 'started')
  printInstances(screen, live, context.now())
  for (const line of await reachOf(client, config)) screen.line(line)
  return 0
}
