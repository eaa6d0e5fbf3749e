# A kernel VXLAN device with 500 remotes, all of them addresses of another host. Sourced by `host`.
#
#   near 10.77.0.1/16 == far 10.77.1.1 to 10.77.2.250 in h2; vx0 has them in its forwarding table

scene() {
  ip netns add h2; ip -n h2 link set lo up
  wire near h2 far
  ip addr add 10.77.0.1/16 dev near
  ip link add vx0 type vxlan id 7 local 10.77.0.1 dstport 4789; up vx0
  local far; far=$(ip -n h2 -o link show far | sed -n 's,.*link/ether \([^ ]*\).*,\1,p')
  remotes | sed 's,.*,addr add &/16 dev far,' | ip -n h2 -batch -
  remotes | sed 's,.*,fdb append 00:00:00:00:00:00 dev vx0 dst &,' | bridge -batch -
  # Neighbours are known; the kernel keeps no more than gc_thresh3 of them.
  remotes | sed "s,.*,neigh add & lladdr $far dev near nud permanent," | ip -batch -
}

remotes() { local a b; for a in 1 2; do for b in {1..250}; do echo "10.77.$a.$b"; done; done; }
