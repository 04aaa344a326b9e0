// How long a drain may take: what the controller, its API and the command line agree on.

/** After this a worker should be empty, unless another deadline is given. */
export const DRAIN_TIME = '10m'
export const DRAIN_MAX = '7d'
