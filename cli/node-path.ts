// Where the API has a worker.

export function nodePath(node: string, action = ''): string {
  return `/v1/nodes/${encodeURIComponent(node)}${action}`
}
