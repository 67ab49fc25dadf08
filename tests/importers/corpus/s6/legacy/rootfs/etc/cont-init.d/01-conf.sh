#!/bin/bash
envsubst < /tpl > /etc/app.conf
