[camlock-page]
title="Camlock"
desc="Camlock: the site's page (https)"
port_forward="no"
dst.ports="8443/tcp"

[camlock-trust]
title="Camlock trust page"
desc="Camlock: the page with the root for browsers (http)"
port_forward="no"
dst.ports="8080/tcp"
