// tucano deploy: brings a service's program and configuration to the controller and waits until
// it runs (M05, M21, Q12).

import type { ServiceConfig } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import { withDigest } from '#shared/service-config.ts'
import type { AcceptedAnswer } from './answers.ts'
import type { Client } from './client.ts'
import type { Command, Context } from './command.ts'
import { tellFailure } from './deploy-failure.ts'
import { follow, stillGoesOn, timeoutOf, waitOptions } from './follow.ts'
import { printInstances } from './instances.ts'
import { showPlan } from './plan.ts'
import { reachOf } from './reach.ts'
import { followBack, tellReceipt } from './receipt.ts'
import { concurrencyOption, readConfig } from './service-file.ts'
import { plain } from './table.ts'
import { bringImage } from './upload.ts'

export const deploy: Command = {
  name: 'deploy',
  summary: 'Deploy a service and wait until it runs',
  words: '[FOLDER|FILE]',
  options: [
    ...waitOptions,
    concurrencyOption,
    { name: 'dry-run', summary: 'show what it would change and do, as tucano plan does' },
  ],
  details: `FOLDER holds a service.yaml (default: this folder); FILE is one. Its image.path
is packed without what .tucanoignore names, and uploaded unless the controller
has it already.`,
  async run(context) {
    const timeoutMs = timeoutOf(context)
    const config = await readConfig(context)
    if (context.flags.has('dry-run')) return showPlan(context, config)
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
  const body = { config: withDigest(config, digest) }
  const accepted = await client.send<AcceptedAnswer>('POST', '/v1/services', body)
  for (const hint of accepted.hints) context.screen.note(`hint: ${config.name}: ${plain(hint)}`)
  return accepted
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
    await followBack(context, client, { deployment, timeoutMs })
    return 1
  }
  if (screen.json || detail === undefined) return 0
  screen.note(`${config.name} runs: ${deployment.why}`)
  tellReceipt(screen, deployment)
  const live = detail.instances.filter(({ state }) => state === 'started')
  printInstances(screen, live, context.now())
  for (const line of await reachOf(client, config)) screen.line(line)
  return 0
}
