#!/bin/bash
# What can be done to the daemons of a host. Sourced by `host`; from outside:
#
#   nsenter -t PID -m -n -p -- /path/to/verbs.sh VERB
#
# start_ovsdb start_vswitchd   stop_ovsdb stop_vswitchd (as its unit would)
# crash_ovsdb crash_vswitchd (SIGKILL: files stay, a monitor gives up too)
# fault_ovsdb fault_vswitchd (SIGSEGV: a monitor restarts it and counts)
# restart_ovsdb restart_vswitchd   freeze_ovsdb freeze_vswitchd thaw_ovsdb thaw_vswitchd (SIGSTOP, SIGCONT)

# What `host` was started with: $state, $monitor.
. /run/lab.env
PATH=/usr/sbin:/sbin:/usr/bin:/bin
quiet="--no-chdir --detach --pidfile -vconsole:emer -vsyslog:off -vfile:info"

# ovsdb DB RUNDIR [OPTION...] and vswitchd NAME RUNDIR [OPTION...]. fd 8 is the lock of the state
# directory, which the daemons keep on purpose; stdin and stdout of the caller they must not keep.
ovsdb() {
  local name=$1 rundir=$2; shift 2
  [ -e "$state/$name.db" ] || ovsdb-tool create "$state/$name.db" /usr/share/openvswitch/vswitch.ovsschema
  OVS_RUNDIR=$rundir ovsdb-server "$state/$name.db" --remote="punix:$rundir/db.sock" $quiet \
    --log-file="$state/$name-ovsdb-server.log" "$@" < /dev/null > /dev/null
}
vswitchd() {
  local name=$1 rundir=$2; shift 2
  OVS_RUNDIR=$rundir ovs-vsctl --no-wait -- init -- set Open_vSwitch . external_ids:system-id="$name" \
    external_ids:hostname="$name" ovs_version="$(ovs-vswitchd --version | sed -n '1s/.* //p')"
  OVS_RUNDIR=$rundir ovs-vswitchd "unix:$rundir/db.sock" $quiet \
    --log-file="$state/$name-ovs-vswitchd.log" "$@" < /dev/null > /dev/null
}

start_ovsdb() { ovsdb h1 /run/openvswitch --remote=ptcp:6640:127.0.0.1 $monitor; }
start_vswitchd() { vswitchd h1 /run/openvswitch $monitor; }

# The far end: same pid namespace, network and run directory of its own.
start_h2() {
  ovsdb h2 /run/openvswitch-h2
  nsenter --net=/run/netns/h2 "${BASH_SOURCE[0]}" vswitchd h2 /run/openvswitch-h2
}

pid_of() { cat "/run/openvswitch/$1.pid"; }
signal() { kill "-$2" "$(pid_of "$1")"; }
# gone PID: until it is no more.
gone() { while kill -0 "$1" 2> /dev/null; do sleep 0.01; done; }
ended() { local pid; pid=$(pid_of "$1"); signal "$1" "$2"; gone "$pid"; }

# A monitor takes SIGTERM as the end, not as a crash to recover from.
stop_ovsdb() { ended ovsdb-server TERM; }
stop_vswitchd() { ended ovs-vswitchd TERM; }
crash_ovsdb() { ended ovsdb-server KILL; }
crash_vswitchd() { ended ovs-vswitchd KILL; }
fault_ovsdb() { ended ovsdb-server SEGV; }
fault_vswitchd() { ended ovs-vswitchd SEGV; }
freeze_ovsdb() { signal ovsdb-server STOP; }
freeze_vswitchd() { signal ovs-vswitchd STOP; }
thaw_ovsdb() { signal ovsdb-server CONT; }
thaw_vswitchd() { signal ovs-vswitchd CONT; }
restart_ovsdb() { stop_ovsdb; start_ovsdb; }
restart_vswitchd() { stop_vswitchd; start_vswitchd; }

if [ "${BASH_SOURCE[0]}" = "$0" ]; then set -eu; "$@"; fi
