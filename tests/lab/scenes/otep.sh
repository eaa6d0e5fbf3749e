# A host with tunnels of Open vSwitch and of the kernel, and their far ends. Sourced by `host`.
#
#   br-ex 192.0.2.11  == eth1 ==  br-ex 192.0.2.12 .13 .14 in h2
#   t-vxlan and t-geneve to .12 (BFD on t-vxlan), t-gre to .13, t-flow; the kernel's vx0 to .14 and .12
#   eth8 198.51.100.1, without carrier

scene() {
  ip netns add h2; ip -n h2 link set lo up
  start_h2
  wire eth1 h2 eth1
  ip link add eth8 type veth peer name eth8 netns h2; up eth8; ip addr add 198.51.100.1/24 dev eth8
  vs -- add-br br-ex -- set Bridge br-ex datapath_type=netdev -- add-port br-ex eth1 \
     -- add-br br-tun -- set Bridge br-tun datapath_type=netdev fail_mode=secure
  vs2 -- add-br br-ex -- set Bridge br-ex datapath_type=netdev -- add-port br-ex eth1 \
      -- add-br br-tun -- set Bridge br-tun datapath_type=netdev fail_mode=secure
  up br-ex; ip addr add 192.0.2.11/24 dev br-ex
  ip -n h2 link set br-ex up
  local n; for n in 12 13 14; do ip -n h2 addr add 192.0.2.$n/24 dev br-ex; done
  vs $(otep t-vxlan vxlan 192.0.2.12) options:local_ip=192.0.2.11 bfd:enable=true bfd:min_rx=300 bfd:min_tx=300 \
     $(otep t-geneve geneve 192.0.2.12) $(otep t-gre gre 192.0.2.13) options:local_ip=192.0.2.11 \
     $(otep t-flow vxlan flow) options:dst_port=4800
  vs2 $(otep t-vxlan vxlan 192.0.2.11) options:local_ip=192.0.2.12 bfd:enable=true bfd:min_rx=300 bfd:min_tx=300
  ip link add vx0 type vxlan id 7 local 192.0.2.11 remote 192.0.2.14 dstport 4790; up vx0
  bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.12
  bridge fdb append 00:00:00:00:00:01 dev vx0 dst 192.0.2.14
  vs wait-until Interface t-vxlan bfd_status:state=up
}

# otep NAME TYPE REMOTE
otep() { echo "-- add-port br-tun $1 -- set Interface $1 type=$2 options:remote_ip=$3 options:key=flow"; }
