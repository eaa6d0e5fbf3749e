# Bridges of Open vSwitch with guests, beside the Linux bridges of `bridges`, and cables between the
# two kinds. Sourced by `host`, behind `bridges`.

scene() {
  quiet_netns vif
  ovs_bridges
  ovs_guests
  namesakes
}

netdev() { echo "-- --may-exist add-br $1 -- set Bridge $1 datapath_type=netdev"; }
# plug BRIDGE PORT MAC [OPTION...]: what os-vif writes to the interface of an instance.
plug() { local br=$1 port=$2 mac=$3; shift 3; echo "-- add-port $br $port $* -- set Interface $port external_ids:attached-mac=$mac"; }
patch() { echo "-- add-port $1 $2 -- set Interface $2 type=patch options:peer=$3"; }
# vif N PORT: a guest in its own namespace, its port not plugged in yet.
vif() {
  quiet_netns "v$1"
  ip link add "$2" type veth peer name eth0 address "fa:16:3e:00:01:$1" netns "v$1"; up "$2"
  ip -n "v$1" link set eth0 up; ip -n "v$1" addr add "10.1.0.$((10#$1))/24" dev eth0
}
ovs_says() { ip netns exec "v$1" bash -c "echo > /dev/udp/10.1.0.$((10#$2))/9" 2> /dev/null || true; }
# ovs_learned BRIDGE MAC...
ovs_learned() {
  local bridge=$1 mac; shift
  for mac; do until ovs-appctl fdb/show "$bridge" | grep -q "$mac"; do sleep 0.05; done; done
}

ovs_bridges() {
  vs $(netdev br-int) $(netdev br-ex) $(netdev tbr-1) $(netdev a-bridge-with-a-long-name) \
    $(patch br-int int-br-ex phy-br-ex) $(patch br-ex phy-br-ex int-br-ex) \
    $(patch br-int tpt-1 tpi-1) $(patch tbr-1 tpi-1 tpt-1)
  vs --no-wait -- add-br br-bad -- set Bridge br-bad datapath_type=nonsense
  up br-ex; ip addr add 10.1.0.200/24 dev br-ex
}

ovs_guests() {
  local n
  for n in 01 02 03 04 05 06 07; do vif $n ovs-$n; done
  ip link set ovs-02 down
  ip -n v03 link set eth0 down
  # 05 is in Neutron's trunk bridge, 06 is plugged in without a word, 07 is behind br-ex.
  vs $(plug br-int ovs-01 fa:16:3e:00:01:01) $(plug br-int ovs-02 fa:16:3e:00:01:02) \
    $(plug br-int ovs-03 FA:16:3E:00:01:03) $(plug br-int ovs-04 fa:16:3e:00:01:04 tag=4095) \
    $(plug tbr-1 ovs-05 fa:16:3e:00:01:05) -- add-port br-int ovs-06 -- add-port br-ex ovs-07 \
    $(plug br-int ovs-int fa:16:3e:00:01:08) -- set Interface ovs-int type=internal
  # A DHCP port: internal, and moved into its namespace.
  ip link set ovs-int netns vif; ip -n vif link set ovs-int up
  # A Linux bridge whose uplink is plugged into Open vSwitch, under no name that tells.
  linux_bridge br-lx; ip link add lx0 type veth peer name lx0-far; ip link set lx0 master br-lx up; up lx0-far
  vs -- add-port br-ex lx0-far
  vs wait-until Interface ovs-02 link_state=down -- wait-until Interface ovs-03 link_state=down \
    -- wait-until Interface ovs-01 link_state=up -- wait-until Interface ovs-int ofport!=-1
  ovs_says 01 05; ovs_says 01 06; ovs_says 01 07; ovs_says 07 99
  ovs_learned br-int fa:16:3e:00:01:05 fa:16:3e:00:01:06 fa:16:3e:00:01:07
  bash -c 'echo > /dev/udp/10.1.0.7/9' || true
  ovs_learned br-ex "$(cat /sys/class/net/br-ex/address)"
  learned br-lx fa:16:3e:00:01:07
}

# The same name twice: Open vSwitch makes the bridge, but gets no device for it.
namesakes() {
  linux_bridge br-both
  vs --no-wait -- add-br br-both -- set Bridge br-both datapath_type=netdev
  until [ -S /run/openvswitch/br-both.mgmt ]; do sleep 0.02; done
  linux_bridge br-stale
  : > /run/openvswitch/br-stale.mgmt
}
