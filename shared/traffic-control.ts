// The bounds within which a service's traffic is paused or turned away, for the API that checks
// them and the command line that explains them.

export const PAUSE_MIN = '1s'
export const PAUSE_DEFAULT = '30s'
/** Browsers and programs give up sooner or later; so does a request that waits this long. */
export const PAUSE_MAX = '10m'
/** How much longer a request waits than the pause lasts, before it is given up. */
export const PAUSE_SLACK_MS = 5_000

export const PAGE_BYTES_MAX = 64 * 1024
/** Of all services together: pages stand in the state and in every route table. */
export const PAGES_BYTES_MAX = 1024 * 1024

/** What a page must be: the wrong file is noticed before a visitor gets it. */
export function isPage(text: string): boolean {
  return (
    text.trimStart().startsWith('<') &&
    !text.includes('\0') &&
    Buffer.byteLength(text) <= PAGE_BYTES_MAX
  )
}
