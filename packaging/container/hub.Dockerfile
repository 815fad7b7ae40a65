# The hub. build.sh makes the context: root/ is what the image holds, var/ what the hub
# owns. It needs the shop's own network (--network host) to see readers.
FROM scratch
ARG VERSION
LABEL org.opencontainers.image.title="Store Hub" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY root/ /
COPY --chown=65532:65532 var/ /var/lib/
USER 65532:65532
ENV GOMEMLIMIT=96MiB GOTRACEBACK=crash
VOLUME ["/var/lib/storehub", "/var/lib/storehub-keys"]
EXPOSE 7443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/usr/bin/hub", "service", "status"]
ENTRYPOINT ["/usr/bin/hub"]
CMD ["serve"]
