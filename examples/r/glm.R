# A logistic regression over all nodes of a data space, from R: the command's JSON as a data frame.
#
#     Rscript examples/r/glm.R SANDBOX
#
# SANDBOX is that of clients/python/examples/hearts. Needs jsonlite; the program is `datenraum` on the path, or in the variable DATENRAUM.
# For questions in SQL as data frames, see "From Python, R, Java and BI tools" in docs/data-users.md.

library(jsonlite)

sandbox <- commandArgs(trailingOnly = TRUE)[1]
program <- Sys.getenv("DATENRAUM", "datenraum")

# What the command prints, or stops with what it says: a code, what happened and what to do.
ask <- function(...) {
  words <- c(..., "--sandbox", sandbox, "--purpose", "ehds-53-1-e", "--json")
  complaints <- tempfile()
  said <- suppressWarnings(system2(program, shQuote(words), stdout = TRUE, stderr = complaints))
  # No status is 0; 3: some nodes did not take part, and that was allowed.
  if (!is.null(attr(said, "status")) && attr(said, "status") != 3) {
    error <- fromJSON(tail(readLines(complaints), 1))$error
    stop(error$message, " [", error$problem, "]; ", error$remedy, call. = FALSE)
  }
  fromJSON(paste(said, collapse = "\n"))
}

fit <- ask("glm", "--collection", "heart", "--formula", "disease ~ age + sex + smoker + bmi", "--family", "binomial")
terms <- with(fit$terms, data.frame(
  Estimate = estimate, `Std. Error` = std_error, `z value` = statistic, `Pr(>|z|)` = p,
  row.names = term, check.names = FALSE
))
printCoefmat(terms, digits = 4)
cat("rows", fit$n, " left out:", fit$dropped, " deviance:", fit$deviance, "\n")
print(fit$coverage[c("node", "status")])

refused <- tryCatch(ask("glm", "--collection", "heart", "--formula", "disease ~ heigth"), error = conditionMessage)
cat("refused as it must be:", refused, "\n")
