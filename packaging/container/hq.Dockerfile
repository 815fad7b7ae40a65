# Headquarters. build.sh makes the context: root/ is what the image holds, var/ what
# headquarters owns. Its /healthz and /readyz are for whoever runs it to ask.
FROM scratch
ARG VERSION
LABEL org.opencontainers.image.title="Store Hub headquarters" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY root/ /
COPY --chown=65532:65532 var/ /var/lib/
USER 65532:65532
ENV GOMEMLIMIT=1GiB GOTRACEBACK=crash
VOLUME ["/var/lib/storehub-hq"]
EXPOSE 7480
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/hq"]
CMD ["serve"]
