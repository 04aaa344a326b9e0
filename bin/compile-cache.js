// Keeps what Node made of the sources from one start to the next. A start is quicker by that, and
// smaller: the WebAssembly that strips the types is not loaded when there is nothing to strip.
// Where the folder cannot be written, Node starts as it would without it.

import { enableCompileCache, flushCompileCache } from 'node:module'
import { join } from 'node:path'

/** By then everything is loaded; a daemon that is killed later leaves a full cache. */
const FLUSH_MS = 10_000

// systemd gives a unit with CacheDirectory= a folder of its own. Never one in /tmp: what lies in
// the cache is run.
const ours = process.env.CACHE_DIRECTORY?.split(':')[0]
enableCompileCache(ours ?? join(import.meta.dirname, '../node_modules/.cache/tucano'))
setTimeout(flushCompileCache, FLUSH_MS).unref()
