# A bridge that keeps addresses per VLAN: guests 04 and 05 are in 100, the trunk carries all of them.
# Needs CONFIG_BRIDGE_VLAN_FILTERING. Sourced by `host`.
. "$here/scenes/bridges.sh"

scene() {
  ip netns add guests
  linux_bridge br-vlan vlan_filtering 1
  guest 04 br-vlan tap-04
  guest 05 br-vlan tap-05
  local port
  for port in tap-04 tap-05; do bridge vlan del vid 1 dev $port; bridge vlan add vid 100 pvid untagged dev $port; done
  ip link add trunk type veth peer name trunk-far netns guests; ip link set trunk master br-vlan up
  ip -n guests link set trunk-far up
  bridge vlan add vid 2-4000 dev trunk
  says 04 05; learned_in_vlan br-vlan 100 fa:16:3e:00:00:04 fa:16:3e:00:00:05
}
learned_in_vlan() {
  local bridge=$1 vlan=$2 mac; shift 2
  for mac; do until bridge fdb show br "$bridge" | grep -q "^$mac .*vlan $vlan .*master $bridge *$"; do sleep 0.02; done; done
}
