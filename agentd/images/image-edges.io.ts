// Joins the edges of the images noun, and names the environment that a build gets.

import { dirname } from 'node:path'
import { runBuild } from './build.io.ts'
import { type FetchOptions, fetchImage } from './fetch.io.ts'
import type { ImagesPorts } from './image-ports.ts'
import { openShelf } from './shelf.io.ts'
import { unpackImage } from './unpack.io.ts'

export async function openImageEdges(
  options: FetchOptions & { folder: string },
): Promise<Omit<ImagesPorts, 'clock' | 'log'>> {
  const environment = hostEnvironment()
  return {
    fetch: (digest, file, signal) => fetchImage(options, { digest, file, signal }),
    unpack: unpackImage,
    build: (job, signal) => runBuild(job, signal, environment),
    shelf: await openShelf(options.folder),
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
