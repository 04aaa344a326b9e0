// Joins the edges of the images noun, and names the environment that a build gets.

import { dirname, join } from 'node:path'
import type { Box } from '#agentd/isolation/box.io.ts'
import { runBuild } from './build.io.ts'
import { type FetchOptions, fetchImage } from './fetch.io.ts'
import type { ImagesPorts } from './image-ports.ts'
import { openShelf } from './shelf.io.ts'
import { unpackImage } from './unpack.io.ts'

export async function openImageEdges(
  options: FetchOptions & { folder: string; box: Pick<Box, 'build' | 'users'> },
): Promise<Omit<ImagesPorts, 'clock' | 'log'>> {
  const environment = buildEnvironment()
  const { folder, box } = options
  const shelf = await openShelf(folder)
  await box.users.openWay([folder, join(folder, 'builds')])
  return {
    fetch: (digest, file, signal) => fetchImage(options, { digest, file, signal }),
    unpack: unpackImage,
    build: (job, signal) =>
      box.build(job.mark, (group) =>
        runBuild(job, signal, { environment, group, users: box.users }),
      ),
    shelf: {
      ...shelf,
      async finish(built) {
        // Programs read and run what is in it; whoever built it does not write to it any more.
        await box.users.publish(join(folder, 'builds', built.key, 'files'))
        await shelf.finish(built)
      },
    },
  }
}

/**
 * What builds and services see of the agent's own environment: nothing but these. PATH begins
 * with the folder of the agent's Node, so that `node` means the same version everywhere.
 */
export function hostEnvironment(): Record<string, string> {
  const path = process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin'
  return {
    PATH: `${dirname(process.execPath)}:${path}`,
    LANG: process.env.LANG ?? 'C.UTF-8',
  }
}

/** A build may have to reach the outside through the host's proxy; a service need not know it. */
export function buildEnvironment(): Record<string, string> {
  const environment = hostEnvironment()
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy', 'NODE_EXTRA_CA_CERTS']) {
    for (const key of new Set([name, name.toUpperCase()])) {
      const value = process.env[key]
      if (value !== undefined) environment[key] = value
    }
  }
  return environment
}
