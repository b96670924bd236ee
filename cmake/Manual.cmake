# What a program says about itself, made when it is linked: its manual page (help2man, from --help) and the shells'
# completion. Programs with a sanitizer are not for installing and make neither.
find_program(HELP2MAN help2man)
if(NOT HELP2MAN)
  message(STATUS "help2man is not installed: no manual pages")
endif()

# nvcv_cached_manual(<program> <section> <one line about it>)
function(nvcv_cached_manual program section about)
  if(NVCV_CACHED_SANITIZER OR NOT HELP2MAN)
    return()
  endif()
  set(page ${CMAKE_CURRENT_BINARY_DIR}/${program}.${section})
  add_custom_command(TARGET ${program} POST_BUILD
    COMMAND ${HELP2MAN} --no-info --section=${section} --name=${about}
            --version-string=${PROJECT_VERSION} --output=${page}
            "${PROJECT_SOURCE_DIR}/deploy/manual/help-text $<TARGET_FILE:${program}>"
    COMMAND gzip -9nf ${page}
    COMMENT "Manual page of ${program}" VERBATIM)
  install(FILES ${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT daemon)
endfunction()

# nvcv_cached_completion(<program> <words>): `program words SHELL` prints the script.
function(nvcv_cached_completion program words)
  if(NVCV_CACHED_SANITIZER)
    return()
  endif()
  set(bash ${program} bash-completion/completions)
  set(zsh _${program} zsh/vendor-completions)
  set(fish ${program}.fish fish/vendor_completions.d)
  foreach(shell bash zsh fish)
    list(GET ${shell} 0 name)
    list(GET ${shell} 1 folder)
    set(script ${CMAKE_CURRENT_BINARY_DIR}/completion/${shell}/${name})
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/completion/${shell})
    add_custom_command(TARGET ${program} POST_BUILD
      COMMAND ${program} ${words} ${shell} > ${script} VERBATIM)
    install(FILES ${script} DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder} COMPONENT daemon)
  endforeach()
endfunction()
