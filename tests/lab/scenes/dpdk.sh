# An Open vSwitch with DPDK and two vhost-user ports, of which one has a guest. No hugepages, no NIC
# and no kernel module is needed. Start it with --no-ovs. Sourced by `host`.
#
# vhu-off: no guest ever connected. vhu-on: a guest is connected, until `kill $(cat /run/guest.pid)`.

scene() {
  # By the name that the alternatives give it: its files are named after it.
  vswitchd=/run/dpdk/ovs-vswitchd
  mkdir /run/dpdk; ln -s /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk $vswitchd
  dpdk_host /run/openvswitch
  vs $(bridge br-int) \
    -- add-port br-int vhu-off -- set Interface vhu-off type=dpdkvhostuserclient \
       options:vhost-server-path=/run/vhu-off.sock \
    -- add-port br-int vhu-on -- set Interface vhu-on type=dpdkvhostuserclient \
       options:vhost-server-path=/run/vhu-on.sock
  # The guest: the virtio-user driver as a port of a second switch, in a namespace of its own,
  # because a userspace datapath takes one device name for itself.
  ip netns add guest; ip -n guest link set lo up
  dpdk_host /run/openvswitch-guest nsenter --net=/run/netns/guest
  cp /run/openvswitch-guest/ovs-vswitchd.pid /run/guest.pid
  OVS_RUNDIR=/run/openvswitch-guest vs $(bridge br-guest) \
    -- add-port br-guest g0 -- set Interface g0 type=dpdk \
       options:dpdk-devargs=net_virtio_user0,path=/run/vhu-on.sock,server=1
  vs wait-until Interface vhu-off link_state=down -- wait-until Interface vhu-on link_state=up
}

bridge() { echo "-- add-br $1 -- set Bridge $1 datapath_type=netdev"; }

# dpdk_host RUNDIR [COMMAND...]: a database and a switch, the latter started by the command.
dpdk_host() {
  local rundir=$1 name=${1##*/}; shift
  mkdir -p "$rundir"
  ovsdb "$name" "$rundir"
  # Without --legacy-mem Open vSwitch would add --in-memory, which DPDK refuses beside --no-huge. A
  # pool for each port is small; one for all takes 700 MB.
  OVS_RUNDIR=$rundir vs --no-wait init -- set Open_vSwitch . other_config:dpdk-init=true \
    other_config:per-port-memory=true other_config:pmd-maxsleep=500 other_config:pmd-sleep-max=500 \
    other_config:dpdk-extra="--no-huge --legacy-mem -m 512 --no-pci --no-telemetry --iova-mode=va"
  # RUNTIME_DIRECTORY: else every DPDK process of the host shares one.
  OVS_RUNDIR=$rundir RUNTIME_DIRECTORY=$rundir "$@" $vswitchd "unix:$rundir/db.sock" $quiet \
    --log-file="$state/$name-ovs-vswitchd.log" < /dev/null > /dev/null
}
