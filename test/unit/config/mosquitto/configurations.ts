/** What people have in /etc/mosquitto, each with the path that it has there. */
export const CONFIGURATIONS: Readonly<Record<string, string>> = {
  'debian.conf': `# Place your local configuration in /etc/mosquitto/conf.d/
pid_file /run/mosquitto/mosquitto.pid

persistence true
persistence_location /var/lib/mosquitto/

log_dest file /var/log/mosquitto/mosquitto.log
`,

  'open-lan.conf': `listener 1883 0.0.0.0
allow_anonymous true
`,

  'passwords-and-tls.conf': `per_listener_settings false
allow_anonymous false
password_file /etc/mosquitto/passwd
acl_file /etc/mosquitto/acl

listener 1883 127.0.0.1

listener 8883
certfile /etc/letsencrypt/live/mqtt.example.org/cert.pem
cafile /etc/letsencrypt/live/mqtt.example.org/chain.pem
keyfile /etc/letsencrypt/live/mqtt.example.org/privkey.pem
tls_version tlsv1.2
dhparamfile /etc/mosquitto/dh.pem
`,

  'client-certificates.conf': `listener 8883
cafile /etc/mosquitto/ca/ca.crt
certfile /etc/mosquitto/certs/server.crt
keyfile /etc/mosquitto/certs/server.key
require_certificate true
use_identity_as_username true
tls_version tlsv1.3
acl_file /etc/mosquitto/acl
`,

  'docker-websockets.conf': `# eclipse-mosquitto, with a dashboard in the browser
persistence true
persistence_location /mosquitto/data/
log_dest stdout
log_type error
log_type warning
listener 1883
listener 9001
protocol websockets
socket_domain ipv4
allow_anonymous true
max_connections 200
websockets_log_level 255
`,

  'per-listener.conf': `per_listener_settings true

listener 1883 127.0.0.1
allow_anonymous true

listener 1884
password_file /etc/mosquitto/devices.passwd
acl_file /etc/mosquitto/devices.acl
max_connections 100

listener 9001
protocol websockets
allow_anonymous true
acl_file /etc/mosquitto/guests.acl
`,

  'old-style.conf': `# written for Mosquitto 1.6
port 1883
bind_address 192.168.1.10
user mosquitto
max_inflight_messages 10
max_queued_messages 5000
max_queued_bytes 10000000
message_size_limit 131072
persistent_client_expiration 2m
retry_interval 20
sys_interval 10
allow_anonymous true
`,

  'aws-iot.conf': `listener 1883 127.0.0.1
allow_anonymous true

connection awsiot
address a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com:8883
topic awsiot_to_localgateway in 1
topic localgateway_to_awsiot out 1
topic both_directions both 1
bridge_protocol_version mqttv311
bridge_insecure false
cleansession true
clientid bridgeawsiot
start_type automatic
notifications false
log_type all
bridge_cafile /etc/mosquitto/certs/rootCA.pem
bridge_certfile /etc/mosquitto/certs/cert.crt
bridge_keyfile /etc/mosquitto/certs/private.key
`,

  'site-to-cloud.conf': `listener 1883 127.0.0.1
allow_anonymous true
connection cloud
address broker.example.com
topic # out 1 sensors/ site-7/
topic alarms/+ out 2
topic config/# in 1 "" site-7/
remote_username site-7
remote_password correct horse battery staple
remote_clientid site-7
keepalive_interval 30
restart_timeout 5 60
try_private false
bridge_protocol_version mqttv50

connection archive
addresses 10.0.0.5:1884 10.0.0.6:1884
topic sensors/# out 0
round_robin true
`,

  'plugins.conf': `listener 1883
plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so
plugin_opt_config_file /var/lib/mosquitto/dynamic-security.json
per_listener_settings false
`,

  'version-2.1.conf': `global_max_connections 500
global_max_clients 1000
max_packet_size 2000000
plugin_load pw /usr/lib/mosquitto_password_file.so
plugin_opt_password_file /mosquitto/auth/passwd
plugin_load acl /usr/lib/mosquitto_acl_file.so
plugin_opt_acl_file /mosquitto/auth/acl
global_plugin /usr/lib/mosquitto_persist_sqlite.so

listener 1883
listener_allow_anonymous false
plugin_use pw
plugin_use acl

listener 1884 127.0.0.1
listener_allow_anonymous true
enable_proxy_protocol 2
accept_protocol_versions 4, 5
`,

  'psk.conf': `listener 8884
psk_hint factory
psk_file /etc/mosquitto/psk
use_identity_as_username true
listener 0 /run/mosquitto.sock
listener 1885
bind_interface eth1
allow_anonymous true
`,
};
