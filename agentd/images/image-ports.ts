// What the images noun is given: a controller to fetch from, a shelf on disk, something that
// unpacks, something that builds. Each has one edge, joined in image-edges.io.ts.

import type { Clock, Log } from '#shared/ports.ts'

export type ImagesPorts = {
  clock: Clock
  log: Log
  /** Downloads by digest into `file`; resolves when the bytes are those of the digest. */
  fetch(digest: string, file: string, signal: AbortSignal): Promise<void>
  /** Creates `folder`; rejects with `image_unsafe` and leaves nothing. */
  unpack(file: string, folder: string): Promise<void>
  build(job: BuildJob, signal: AbortSignal): Promise<BuildEnd>
  shelf: Shelf
}

export type BuildJob = {
  /** One argv each, run one after another without a shell. */
  commands: readonly (readonly string[])[]
  folder: string
  /** For all commands together. */
  timeoutMs: number
  logFile: string
  /** Value of BUILD_MARK in the environment of all that the build starts. */
  mark: string
}

export type BuildEnd =
  | { kind: 'done' }
  | { kind: 'failed'; command: readonly string[]; exitCode?: number; signal?: string }
  | { kind: 'not_started'; command: readonly string[]; why: string }
  | { kind: 'timed_out'; command: readonly string[] }

/** A finished build: `key` names one digest built with one list of commands. */
export type Built = { key: string; digest: string; builtAt: number }

/** The agent's images on disk. */
export type Shelf = {
  /** The folder to run in, or undefined: never built, or half built. */
  find(key: string): Promise<string | undefined>
  /** An empty place for a download; `dispose` deletes it with all that is in it. */
  workspace(): Promise<{ file: string; unpacked: string; dispose(): Promise<void> }>
  /** Moves an unpacked folder to where it is built and run, in place of what a broken one left. */
  place(key: string, unpacked: string): Promise<{ folder: string; mark: string }>
  /** Written last, durable when it resolves: from now on `find` gives the folder. */
  finish(built: Built): Promise<void>
  finished(): Promise<Built[]>
  /** Deletes a build, finished or not. */
  remove(key: string): Promise<void>
  /** Deletes what a former agent left half done; builds that are under way now stay. */
  sweep(isBusy: (key: string) => boolean): Promise<void>
  /** Used part of the disk, 0..1. */
  diskUsed(): Promise<number>
  buildLogFile(key: string): string
  /** Last lines of the newest build of a digest, oldest first; undefined: none was kept. */
  buildLog(digest: string, lines: number): Promise<string[] | undefined>
}
