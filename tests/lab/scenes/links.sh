# A compute node: guests, a DHCP namespace, a pod, tunnels, and the second host h2 at the far end of its
# NICs. Sourced by `host`.
#
#   tap1ab-01 - qbr1ab-01 - qvb1ab-01 = qvo1ab-01 \                       / phy-br-ex - br-ex - eth1 (192.0.2.11)
#   tap2ab-02                                      } br-int - int-br-ex =
#   tap3ab-03 in qdhcp-1                          /        \
#   tap6ab-06 - tbr-1 - tpt-1 = tpi-1                        patch-tun = patch-int - br-tun - vxlan-1, gre-2
#   pod4 in cni-4 = veth4 - cni0              vxlan-5 - brq5              eth7 - brq7
#   br-data - bond0 (bd0, bd1)
. "$here/scenes/libvirt.sh"

scene() {
  quarters
  nodes > /run/node.xml
  starter > /run/start-libvirtd; chmod 755 /run/start-libvirtd
  /run/start-libvirtd
  ip netns add h2; ip -n h2 link set lo up
  local nic
  for nic in eth1 eth7 bd0 bd1; do wire $nic h2 $nic; done
  ip -n h2 addr add 192.0.2.12/24 dev eth1
  hybrid; pod; linux_bridges; switch
  # The kernel tells a bridge's state up to a second late.
  local bridge
  for bridge in qbr1ab-01 cni0 brq5 brq7; do until grep -q up /sys/class/net/$bridge/operstate; do sleep 0.05; done; done
}

hybrid() {
  hold_tap tap1ab-01; hold_tap tap2ab-02; hold_tap tap6ab-06
  ip link add qbr1ab-01 type bridge ageing_time 0; ip link set tap1ab-01 master qbr1ab-01
  ip link add qvb1ab-01 type veth peer name qvo1ab-01; ip link set qvb1ab-01 master qbr1ab-01
  up tap1ab-01 tap2ab-02 tap6ab-06 qbr1ab-01 qvb1ab-01 qvo1ab-01
}

pod() {
  ip netns add cni-4; ip -n cni-4 link set lo up
  ip link add cni0 type bridge; up cni0
  ip link add veth4 type veth peer name pod4 netns cni-4
  ip link set veth4 master cni0 up; ip -n cni-4 link set pod4 address fa:16:3e:00:00:04 up
}

# What Neutron's agent for Linux bridges makes; and flannel's VXLAN device, which is in no bridge.
linux_bridges() {
  ip link add brq5 type bridge; ip link add brq7 type bridge
  ip link add vxlan-5 type vxlan id 5 local 192.0.2.11 remote 192.0.2.12 dstport 8472
  ip link set vxlan-5 master brq5; ip link set eth7 master brq7
  ip link add flannel.1 type vxlan id 1 local 192.0.2.11 dstport 8473 nolearning
  bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst 192.0.2.13
  ip link set vxlan-5 mtu 1450; ip link set flannel.1 mtu 1450
  up brq5 vxlan-5 brq7 flannel.1
}

netdev() { echo "-- add-br $1 -- set Bridge $1 datapath_type=netdev"; }
# plug BRIDGE PORT N [OPTION...]: what os-vif and Neutron's agent write.
plug() {
  local br=$1 port=$2 n=$3; shift 3
  echo "-- add-port $br $port $* -- set Port $port other_config:net_uuid=1abe0001-0000-4000-8000-000000000001" \
    "-- set Interface $port external_ids:iface-id=$n$n$n$n$n$n$n$n-01aa-4000-8000-000000000001 external_ids:attached-mac=fa:16:3e:00:00:0$n"
}
joined() { echo "-- add-port $1 $3 -- set Interface $3 type=patch options:peer=$4 -- add-port $2 $4 -- set Interface $4 type=patch options:peer=$3"; }
tunnel() { echo "-- add-port br-tun $1 -- set Interface $1 type=$2 options:remote_ip=$3 options:key=flow"; }

# No flows: br-tun forwards nothing. Else each ARP request for the far end would go into the tunnel, too.
switch() {
  vs $(netdev br-int) $(netdev br-ex) $(netdev br-tun) fail_mode=secure $(netdev tbr-1) $(netdev br-data) \
    -- add-port br-ex eth1 \
    $(plug br-int qvo1ab-01 1 tag=1) $(plug br-int tap2ab-02 2 tag=1) \
    $(plug br-int tap3ab-03 3 tag=1) -- set Interface tap3ab-03 type=internal \
    $(plug tbr-1 tap6ab-06 6) \
    $(joined br-int br-ex int-br-ex phy-br-ex) $(joined br-int br-tun patch-tun patch-int) \
    $(joined tbr-1 br-int tpt-1 tpi-1) \
    $(tunnel vxlan-1 vxlan 192.0.2.12) options:local_ip=192.0.2.11 $(tunnel gre-2 gre 192.0.2.12) \
    -- add-bond br-data bond0 bd0 bd1 bond_mode=active-backup
  ip netns add qdhcp-1; ip -n qdhcp-1 link set lo up
  ip link set tap3ab-03 netns qdhcp-1; ip -n qdhcp-1 link set tap3ab-03 up
  up br-ex; ip addr add 192.0.2.11/24 dev br-ex
  local port
  for port in qvo1ab-01 tap2ab-02 tap6ab-06 eth1 bd0 bd1; do vs wait-until Interface $port link_state=up; done
}

nodes() {
  cat << 'EOF'
<node>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <test:runstate>1</test:runstate>
    <name>instance-00000001</name><uuid>11111111-abcd-4000-8000-000000000001</uuid>
    <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <devices>
      <interface type='bridge'>
        <mac address='fa:16:3e:00:00:01'/><source bridge='qbr1ab-01'/><target dev='tap1ab-01'/>
      </interface>
      <interface type='bridge'>
        <mac address='fa:16:3e:00:00:02'/><source bridge='br-int'/>
        <virtualport type='openvswitch'><parameters interfaceid='22222222-01aa-4000-8000-000000000001'/></virtualport>
        <target dev='tap2ab-02'/><link state='down'/>
      </interface>
    </devices>
  </domain>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <test:runstate>3</test:runstate>
    <name>instance-00000003</name><uuid>33333333-abcd-4000-8000-000000000001</uuid>
    <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <devices>
      <interface type='bridge'>
        <mac address='fa:16:3e:00:00:06'/><source bridge='tbr-1'/><target dev='tap6ab-06'/>
      </interface>
    </devices>
  </domain>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <test:runstate>1</test:runstate>
    <name>instance-00000004</name><uuid>44444444-abcd-4000-8000-000000000001</uuid>
    <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <devices>
      <interface type='vhostuser'>
        <mac address='fa:16:3e:00:00:04'/>
        <source type='unix' path='/run/vhost/vhu4ab-04' mode='server'/><model type='virtio'/>
      </interface>
    </devices>
  </domain>
</node>
EOF
}
